// Package text prints answers for people: trees, chains, radii, tables and reports.
//
// Names, paths, arguments and addresses come from the recorded host and may have been
// chosen by an attacker to be printed here. They pass Escape, and nothing else writes them:
// no byte of theirs reaches the terminal that could move the cursor, start a sequence,
// turn the direction of text or end a line. Escape can be undone, and the filter language
// reads what it writes.
//
// The same answer and options give the same bytes: no clock, no terminal is asked here.
package text
