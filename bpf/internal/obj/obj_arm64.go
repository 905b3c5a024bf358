package obj

import "embed"

//go:embed arm64/*.o
var files embed.FS

const arch = "arm64"
