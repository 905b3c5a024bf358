// Web is the demo's victim: a small service that answers /ping?host=NAME by
// running a shell with the name pasted into the command. That is the hole.
//
//	web ADDR LOGFILE
//
// It listens on ADDR (loopback only), appends one line per request to LOGFILE
// before it answers, and ends after a request for /stop.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

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

	// The last connection writes its fact when it is closed: wait for that before the end.
	srv := &http.Server{Handler: mux}
	srv.SetKeepAlivesEnabled(false)
	served := make(chan error, 1)
	closed := make(chan struct{}, 16)
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	go func() { served <- srv.Serve(ln) }()
	select {
	case <-stop:
		<-closed
	case err := <-served:
		return err
	}
	if err := facts.Touched(access, "append", "access log", logged, true); err != nil {
		return err
	}
	return srv.Close()
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
