//go:build linux && (amd64 || arm64)

package main

import (
	"hindcast/query/render/json"
	"hindcast/query/render/text"
	"hindcast/recorder"

	"github.com/urfave/cli/v2"
)

func doctor(c *cli.Context, w world) error {
	o, err := newOutput(c, w, "text", "json")
	if err != nil {
		return err
	}
	if err := noMore(c, c.Args().Slice()); err != nil {
		return err
	}
	var cs []text.Check
	bad := false
	dir := c.String("write")
	if dir == "" {
		dir = recordDir(w)
	}
	for _, k := range recorder.Doctor(recorder.DoctorOptions{Dir: dir, Holder: holder, Pin: c.String("pin"), Release: c.Bool("release")}) {
		cs = append(cs, text.Check{Name: k.Name, Status: string(k.Status), Detail: k.Detail, Fix: k.Fix})
		bad = bad || k.Status == recorder.Fail
	}
	if o.format == "json" {
		err = json.Write(o.w, struct {
			CanRecord bool         `json:"can_record"`
			Checks    []text.Check `json:"checks"`
		}{!bad, cs}, true)
	} else {
		err = text.Doctor(o.w, cs, o.text)
	}
	if err == nil {
		err = o.w.Flush()
	}
	if err != nil {
		return err
	}
	if bad {
		return silent(exitCannot)
	}
	return nil
}
