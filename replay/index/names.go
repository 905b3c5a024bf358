package index

import "bytes"

// Name is the number of an interned string. 0 is the empty string.
type Name uint32

// Names interns byte strings. The zero value is ready to use.
type Names struct {
	ids map[string]Name
	all []string
}

// ID returns the number of b, adding it when it is new. b is not kept.
func (n *Names) ID(b []byte) Name {
	if len(b) == 0 {
		return 0
	}
	if id, ok := n.ids[string(b)]; ok {
		return id
	}
	return n.add(string(b))
}

// IDString is ID for a string.
func (n *Names) IDString(s string) Name {
	if s == "" {
		return 0
	}
	if id, ok := n.ids[s]; ok {
		return id
	}
	return n.add(s)
}

func (n *Names) add(s string) Name {
	if n.ids == nil {
		n.ids = make(map[string]Name)
		n.all = []string{""}
	}
	id := Name(len(n.all))
	n.all = append(n.all, s)
	n.ids[s] = id
	return id
}

// Lookup returns the number of s without adding it.
func (n *Names) Lookup(s string) (Name, bool) {
	if s == "" {
		return 0, true
	}
	id, ok := n.ids[s]
	return id, ok
}

// String returns the string with that number.
func (n *Names) String(id Name) string {
	if int(id) >= len(n.all) {
		return ""
	}
	return n.all[id]
}

// SplitArgs cuts NUL separated arguments. A final NUL ends the last argument and adds none.
func SplitArgs(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	b = bytes.TrimSuffix(b, []byte{0})
	parts := bytes.Split(b, []byte{0})
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = string(p)
	}
	return out
}
