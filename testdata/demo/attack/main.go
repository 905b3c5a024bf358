// Attack sends one request to the demo's web service, from a loopback address of
// the caller's choice, and first waits until the service is there. Whether a ping is
// harmless or an attack is a matter of HOST alone; NOTE goes into the truth log.
//
//	attack FROM_IP WEB_ADDR stop
//	attack FROM_IP WEB_ADDR ping HOST [NOTE]
package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"hindcast/testdata/demo/truth"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	from, addr, what := args[0], args[1], args[2]
	facts, err := truth.Open("attack")
	if err != nil {
		return err
	}
	path, note := "/stop", "stop"
	if what == "ping" {
		path, note = "/ping?host="+url.QueryEscape(args[3]), "benign"
		if len(args) > 4 {
			note = args[4]
		}
	}
	c, err := facts.Dial(from, addr, note)
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		c, err = facts.Dial(from, addr, note)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: %s\r\nX-Note: %s\r\n\r\n", path, addr, note); err != nil {
		return err
	}
	b, err := io.ReadAll(struct{ io.Reader }{c})
	if err != nil {
		return err
	}
	if status, _, _ := strings.Cut(string(b), "\r\n"); !strings.HasSuffix(status, "200 OK") {
		return fmt.Errorf("answer: %s", strings.TrimSpace(string(b)))
	}
	return nil
}
