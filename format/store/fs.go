package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"hindcast/format/segment"
)

// FS is what a store needs of a file system: names are relative to the store's folder,
// slash separated. Tests put a file system behind it that dies at any operation.
type FS interface {
	// Mkdir makes a folder; one that is there is no error.
	Mkdir(name string) error
	// Create makes a file that must not exist, for writing.
	Create(name string) (File, error)
	// Open opens an existing regular file for reading, never through a link.
	Open(name string) (ReadFile, error)
	Rename(old, new string) error
	Remove(name string) error
	Chmod(name string, mode fs.FileMode) error
	// ReadDir lists a folder in order of names; one that does not exist is empty.
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the entries of a folder durable.
	SyncDir(name string) error
	// Lock takes the only right to write; ErrLocked when another process has it.
	Lock(name string) (io.Closer, error)
	Close() error
}

// File is a file being written.
type File interface {
	segment.File
	io.Closer
	// Reserve asks for room up to size without making the file longer. A file system that
	// cannot do it returns nil.
	Reserve(size int64) error
}

// ReadFile is a file being read.
type ReadFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// rootFS is the real one: every name is resolved under a directory handle.
type rootFS struct{ root *os.Root }

// openRoot opens a folder for reading; it must not be a link.
func openRoot(dir string) (*rootFS, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &rootFS{r}, nil
}

func (f *rootFS) Mkdir(name string) error {
	err := f.root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		st, err := f.root.Lstat(name)
		if err != nil {
			return err
		}
		if !st.IsDir() {
			return fmt.Errorf("%s is not a folder", name)
		}
		return nil
	}
	return err
}

func (f *rootFS) Create(name string) (File, error) {
	h, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{h}, nil
}

func (f *rootFS) Open(name string) (ReadFile, error) {
	st, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	h, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	now, err := h.Stat()
	if err != nil || !os.SameFile(st, now) {
		h.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	return readFile{h, now.Size()}, nil
}

func (f *rootFS) Rename(old, new string) error              { return f.root.Rename(old, new) }
func (f *rootFS) Remove(name string) error                  { return f.root.Remove(name) }
func (f *rootFS) Chmod(name string, mode fs.FileMode) error { return f.root.Chmod(name, mode) }
func (f *rootFS) Close() error                              { return f.root.Close() }

func (f *rootFS) ReadDir(name string) ([]fs.DirEntry, error) {
	out, err := fs.ReadDir(f.root.FS(), path.Clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

func (f *rootFS) SyncDir(name string) error {
	h, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer h.Close()
	return syncDir(h)
}

func (f *rootFS) Lock(name string) (io.Closer, error) {
	h, err := f.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := lockFile(h); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

type osFile struct{ *os.File }

func (f osFile) Sync() error              { return syncData(f.File) }
func (f osFile) Reserve(size int64) error { return reserve(f.File, size) }

type readFile struct {
	*os.File
	size int64
}

func (f readFile) Size() int64 { return f.size }
