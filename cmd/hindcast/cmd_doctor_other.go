//go:build !linux || !(amd64 || arm64)

package main

import (
	"runtime"

	"github.com/urfave/cli/v2"
)

func doctor(*cli.Context, world) error {
	return failed(exitCannot, "E_CANNOT_RECORD", "recording needs Linux on amd64 or arm64, this is "+runtime.GOOS+" on "+runtime.GOARCH, "captures made elsewhere can be read here")
}
