//go:build linux

// Bench measures what recording costs, on this machine, in one run.
//
// A worker process, pinned to one processor, repeats small pieces of work for short
// windows while the recorder is switched off and on between them. Every window with
// the recorder is compared with the mean of its two neighbours without it; what is
// reported is the mean of those ratios and its 95 % interval. Single runs on a shared
// machine differ by a third and say nothing; neighbours differ by a few per cent.
// Time is processor time of the worker and its children, in which the kernel's
// programs run too: what other processes take away is not in it.
//
// A second pass lets the kernel time the programs themselves (BPF_ENABLE_STATS), a
// third floods the recorder to see how many events it brings to disk per second of
// its own processor time, and the recording that this made is loaded and replayed.
//
//	bench [-hindcast FILE] [-pairs N] [-window D] [-flood D] [-results DIR]
//
// The output is Markdown; with -results it also goes to a file named by commit.
//
// Unlike the rest of the recorder's folder this is a program of its own that also
// imports the replay side: nothing imports it.
package main
