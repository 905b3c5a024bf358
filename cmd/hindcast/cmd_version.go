package main

import (
	"fmt"
	"runtime"

	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/query/render/json"

	"github.com/urfave/cli/v2"
)

func versionCommand(w world) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version, and those of the format and the catalogue",
		Action: func(c *cli.Context) error {
			o, err := newOutput(c, w, "text", "json")
			if err != nil {
				return err
			}
			if o.format == "json" {
				return json.Write(w.out, struct {
					Version string `json:"version"`
					Format  int    `json:"format"`
					Catalog int    `json:"catalog"`
					Go      string `json:"go"`
					System  string `json:"system"`
				}{version, segment.Format, event.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}, true)
			}
			_, err = fmt.Fprintf(w.out, "hindcast %s  format %d  catalogue %d  %s %s/%s\n", version, segment.Format, event.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
