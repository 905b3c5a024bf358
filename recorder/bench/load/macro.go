//go:build linux

package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var macro = []*Work{
	{Name: "find", What: "find over Go's sources, by size", step: 1, needs: []string{"find", "go"}, make: func(dir string) (*job, error) {
		src, err := sources()
		if err != nil {
			return nil, err
		}
		return loop(func() error { return quiet(dir, nil, "find", src, "-type", "f", "-size", "+500k") }), nil
	}},
	{Name: "tar", What: "tar of 2,000 source files", step: 1, needs: []string{"tar", "go"}, make: func(dir string) (*job, error) {
		src, err := sources()
		if err != nil {
			return nil, err
		}
		to := filepath.Join(dir, "tree.tar")
		return loop(func() error { return quiet(dir, nil, "tar", "-cf", to, "-C", src, "runtime", "net", "crypto") }), nil
	}},
	{Name: "go-warm", What: "go build, nothing changed", step: 1, needs: []string{"go"}, make: func(dir string) (*job, error) {
		m, err := newModule(dir, "warm")
		if err != nil {
			return nil, err
		}
		return loop(m.build), m.build()
	}},
	{Name: "go-build", What: "go build, three packages changed", step: 1, needs: []string{"go"}, make: func(dir string) (*job, error) {
		m, err := newModule(dir, "changed")
		if err != nil {
			return nil, err
		}
		return loop(func() error {
			if err := m.change(); err != nil {
				return err
			}
			return m.build()
		}), m.build()
	}},
	{Name: "nginx", What: "nginx and wrk, keep-alive", step: 1, needs: []string{"nginx", "wrk"}, make: func(dir string) (*job, error) { return web(dir, "keep") }},
	{Name: "nginx-conn", What: "nginx and wrk, a connection per request", step: 1, needs: []string{"nginx", "wrk"}, make: func(dir string) (*job, error) {
		return web(dir, "conn", "-H", "Connection: close")
	}},
	{Name: "redis", What: "redis-benchmark, SET and GET", step: 10_000, needs: []string{"redis-server", "redis-benchmark"}, make: redis},
	{Name: "postmark", What: "postmark transactions", step: 5000, needs: []string{"postmark"}, make: func(dir string) (*job, error) {
		at := filepath.Join(dir, "postmark")
		if err := os.Mkdir(at, 0o700); err != nil {
			return nil, err
		}
		return &job{do: func(n int) (int, error) {
			in := fmt.Sprintf("set location %s\nset number 500\nset transactions %d\nset seed 42\nrun\nquit\n", at, n)
			return n, quiet(dir, strings.NewReader(in), "postmark")
		}}, nil
	}},
}

// limit bounds every program that is started.
const limit = 2 * time.Minute

// quiet runs a program to its end, with the environment of the benchmark but for what the
// worker set for itself.
func quiet(dir string, in *strings.Reader, name string, args ...string) error {
	_, err := output(dir, 0, in, name, args...)
	return err
}

func output(dir string, cpu int, in *strings.Reader, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, environ()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if in != nil {
		cmd.Stdin = in
	}
	err := on(cpu, cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %.300s", name, err, complaint.String())
	}
	return out.Bytes(), err
}

func environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GOGC=") && !strings.HasPrefix(e, "GOMAXPROCS=") {
			env = append(env, e)
		}
	}
	return env
}

func sources() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	_, err = os.Stat(filepath.Join(src, "runtime"))
	return src, err
}

// web starts nginx with one process, as it comes but for the log of requests. One operation
// of wrk is a request; it runs for a second at a time, which is the least it can.
func web(dir, name string, args ...string) (*job, error) {
	dir = filepath.Join(dir, "nginx-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), bytes.Repeat([]byte("hindcast\n"), 68), 0o644); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/pid;\nerror_log %[1]s/error.log;\nevents { worker_connections 512; }\nhttp {\n  access_log off;\n  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n  keepalive_requests 1000000000;\n  server { listen 127.0.0.1:%[2]d backlog=511; root %[1]s; }\n}\n", dir, port)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
		return nil, err
	}
	s, err := serveOn(port, "nginx", "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	if err != nil {
		return nil, err
	}
	args = append([]string{"-t", "1", "-c", "8", "-d", "1s", "--timeout", "5s"}, append(args, fmt.Sprintf("http://127.0.0.1:%d/", port))...)
	return &job{pids: []int{s.Process.Pid}, stop: func() { end(s) }, do: func(int) (int, error) {
		out, err := output(dir, 1, nil, "wrk", args...)
		if err != nil {
			return 0, err
		}
		return requests(string(out))
	}}, nil
}

var wrkTotal = regexp.MustCompile(`(?m)^\s*(\d+) requests in`)

// requests reads wrk's report; errors it had make its numbers meaningless.
func requests(out string) (int, error) {
	if i := strings.Index(out, "Socket errors"); i >= 0 {
		line, _, _ := strings.Cut(out[i:], "\n")
		// Timeouts are counted at the end for connections that are still open: not ours.
		if !strings.HasPrefix(line, "Socket errors: connect 0, read 0, write 0,") {
			return 0, errors.New("wrk: " + line)
		}
	}
	if i := strings.Index(out, "Non-2xx"); i >= 0 {
		return 0, errors.New("wrk: answers other than 200")
	}
	m := wrkTotal.FindStringSubmatch(out)
	if m == nil {
		return 0, errors.New("wrk: no total in its report")
	}
	n, err := strconv.Atoi(m[1])
	if n == 0 && err == nil {
		err = errors.New("wrk: no request was answered")
	}
	return n, err
}

// redis runs one server without persistence; an operation is one SET and one GET.
func redis(dir string) (*job, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := strconv.Itoa(port)
	s, err := serveOn(port, "redis-server", "--port", p, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir, "--logfile", filepath.Join(dir, "redis.log"))
	if err != nil {
		return nil, err
	}
	return &job{pids: []int{s.Process.Pid}, stop: func() { end(s) }, do: func(n int) (int, error) {
		_, err := output(dir, 1, nil, "redis-benchmark", "-h", "127.0.0.1", "-p", p, "-c", "20", "-n", strconv.Itoa(n), "-t", "set,get", "-q")
		return n, err
	}}, nil
}

// module is a small Go module with a build cache of its own.
type module struct {
	dir, cache string
	changes    int
}

func newModule(dir, name string) (*module, error) {
	m := &module{dir: filepath.Join(dir, "go-"+name), cache: filepath.Join(filepath.Dir(dir), "gocache")}
	for _, p := range []string{"one", "two"} {
		if err := os.MkdirAll(filepath.Join(m.dir, p), 0o755); err != nil {
			return nil, err
		}
	}
	return m, errors.Join(
		os.WriteFile(filepath.Join(m.dir, "go.mod"), []byte("module small\n\ngo 1.21\n"), 0o644),
		os.WriteFile(filepath.Join(m.dir, "main.go"), []byte("package main\n\nimport (\n\t\"fmt\"\n\t\"small/two\"\n)\n\nfunc main() { fmt.Println(two.Sorted()) }\n"), 0o644),
		os.WriteFile(filepath.Join(m.dir, "two/two.go"), []byte("package two\n\nimport (\n\t\"sort\"\n\t\"strings\"\n\n\t\"small/one\"\n)\n\nfunc Sorted() string {\n\tw := strings.Fields(one.Words)\n\tsort.Strings(w)\n\treturn strings.Join(w, \" \")\n}\n"), 0o644),
		m.change())
}

// change makes the package that the other two import another one.
func (m *module) change() error {
	m.changes++
	text := fmt.Sprintf("package one\n\nconst Words = \"what one builds again %d %d\"\n", os.Getpid(), m.changes)
	return os.WriteFile(filepath.Join(m.dir, "one/one.go"), []byte(text), 0o644)
}

func (m *module) build() error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", "small", ".")
	cmd.Dir = m.dir
	cmd.Env = append(environ(), "GOCACHE="+m.cache, "GOFLAGS=", "GOPROXY=off", "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0", "GOTELEMETRY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %.300s", err, out)
	}
	return nil
}
