// C2 is the attacker's server in the demo.
//
//	c2 SERVE_ADDR PAYLOAD_FILE DROP_ADDR
//
// It hands out PAYLOAD_FILE to whoever connects to SERVE_ADDR and asks for
// anything over HTTP, and keeps in memory what is sent to DROP_ADDR. It ends
// after one download and one drop.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"

	"hindcast/testdata/demo/truth"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "c2:", err)
		os.Exit(1)
	}
}

func run(serveAddr, payload, dropAddr string) error {
	facts, err := truth.Open("c2")
	if err != nil {
		return err
	}
	serve, err := facts.Listen(serveAddr, "payload")
	if err != nil {
		return err
	}
	drop, err := facts.Listen(dropAddr, "exfil")
	if err != nil {
		return err
	}
	body, err := os.ReadFile(payload)
	if err != nil {
		return err
	}
	if err := give(serve, body); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return take(drop)
}

func give(ln net.Listener, body []byte) error {
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for { // the request ends with an empty line
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
	}
	if _, err := fmt.Fprintf(c, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)); err != nil {
		return err
	}
	if _, err := c.Write(body); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c) // until the other side closes: then all of it has arrived
	return err
}

func take(ln net.Listener) error {
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.ReadAll(c); err != nil {
		return err
	}
	if _, err := c.Write([]byte("thanks\n")); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}
