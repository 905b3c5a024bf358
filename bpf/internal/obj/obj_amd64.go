package obj

import "embed"

//go:embed amd64/*.o
var files embed.FS

const arch = "amd64"
