// Web is the demo's victim: a small service that answers /ping?host=NAME by
// running a shell with the name pasted into the command. That is the hole.
//
//	web ADDR LOGFILE
//
// It listens on ADDR (loopback only), appends one line per request to LOGFILE
// before it answers, and ends after a request for /stop.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"hindcast/testdata/demo/truth"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func run(addr, logfile string) error {
	facts, err := truth.Open("web")
	if err != nil {
		return err
	}
	access, err := os.OpenFile(logfile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	ln, err := facts.Listen(addr, "service")
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var logged uint64
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", func(w http.ResponseWriter, r *http.Request) {
		host := r.URL.Query().Get("host")
		n, err := fmt.Fprintf(access, "%s ping %q\n", r.RemoteAddr, host)
		logged += uint64(n)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		out, err := ping(facts, host, r.Header.Get("X-Note"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Write(out)
	})
	mux.HandleFunc("/stop", func(w http.ResponseWriter, r *http.Request) { close(stop) })

	srv := &http.Server{Handler: mux}
	srv.SetKeepAlivesEnabled(false)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case <-stop:
	case err := <-served:
		return err
	}
	// Connections in use are served to their end, and each logs itself when it is closed.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return err
	}
	return facts.Touched(access, "append", "access log", logged, true)
}

// ping runs the command with the hole in it. The note is only for the truth log.
func ping(facts *truth.Log, host, note string) ([]byte, error) {
	cmd := exec.Command("/bin/sh", "-c", "echo pinging "+host)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if facts.On() {
		sh, err := truth.Describe("shell", cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		sh.Note = note
		if sh.Ino == 0 { // it has ended already: the program is still known
			if sh.Path, err = filepath.EvalSymlinks(cmd.Path); err != nil {
				return nil, err
			}
			if sh.Dev, sh.Ino, err = truth.Stat(sh.Path); err != nil {
				return nil, err
			}
		}
		if err := facts.Write(sh); err != nil {
			return nil, err
		}
	}
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			break
		}
	}
	return all, cmd.Wait()
}
