//go:build linux

// Bench measures what recording costs, on this machine, in one run: hindcast in each of its
// profiles beside auditd, strace, perf trace, bpftrace and, where HINDCAST_SCAP_OPEN names
// it, Falco's scap-open, on the same work.
//
// Worker processes (package load) repeat small pieces of work for short windows while a tool
// (package tool) is started and stopped between them. Every window with the tool is compared
// with the mean of its two neighbours without it; what is reported is the mean of those
// ratios and its 95 % interval. Single runs on a shared machine differ by a third and say
// nothing; neighbours differ by a few per cent. What the tool's own processes use is taken
// from a run of its own for each piece of work, less what they use when nothing happens, and
// added: cost is processor time of work and recorder, wherever it is spent.
//
// Further sections let the kernel time hindcast's programs (BPF_ENABLE_STATS), raise the rate
// of one countable event from a thousand a second to what the machine can make, load one and
// two processors, leave the host alone, and read back what was recorded.
//
//	bench [-quick] [-only NAMES] [-hindcast FILE] [-results DIR]
//
// -only takes sections, tools and pieces of work, comma separated; naming one of a kind
// leaves out the others of that kind. The output is Markdown, headed by the budgets; with
// -results it also goes to a file named by commit. A tool that fails gets a row that says why.
// Whatever was started is ended and audit is put back as it was, also on an interrupt.
//
// Unlike the rest of the recorder's folder this is a program of its own that also
// imports the replay side: nothing imports it.
package main
