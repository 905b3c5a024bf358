//go:build !linux || !(amd64 || arm64)

package main

import (
	"runtime"

	"github.com/urfave/cli/v2"
)

func record(c *cli.Context, _ world) error {
	if err := knownProfile(c.String("profile")); err != nil {
		return err
	}
	return failed(exitCannot, "E_CANNOT_RECORD", "recording needs Linux on amd64 or arm64, this is "+runtime.GOOS+" on "+runtime.GOARCH, "captures made elsewhere can be read here")
}
