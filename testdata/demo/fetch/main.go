// Fetch downloads over plain HTTP, in place of a curl that may not be installed.
//
//	fetch ADDR/NAME FILE
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"hindcast/testdata/demo/truth"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

func run(url, file string) error {
	facts, err := truth.Open("fetch")
	if err != nil {
		return err
	}
	addr, name, _ := strings.Cut(url, "/")
	c, err := facts.Dial("", addr, "payload")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n", name, addr); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, 64<<10)
	var length int64
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
		fmt.Sscanf(line, "Content-Length: %d", &length)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.CopyN(struct{ io.Writer }{f}, r, length) // plain write calls, no splice
	if err != nil {
		return err
	}
	if err := facts.Touched(f, "write", "payload", uint64(n), true); err != nil {
		return err
	}
	return f.Close()
}
