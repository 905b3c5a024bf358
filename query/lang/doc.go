// Package lang is the filter language: the Falco and sysdig dialect over the fields of
// the event catalogue.
//
//	proc.exe endswith /curl and net.rport in (443, 8443) and not proc.aname contains ansible
//	net.raddr in 10.0.0.0/8        file.flags has O_CREAT        anc(proc.exe = /usr/sbin/sshd)
//	shadow                         (a bare word: substring of names, paths, arguments, addresses)
//
// Words: a field is a name of the language; a slot is where a field lies for some event
// types; a leaf is one test; a filter is an expression bound to its fields and values.
//
// A field that only some events have restricts to those events, under negation too:
// "not net.raddr in 10.0.0.0/8" selects network rows only. What is unknown about a row is
// neither true nor false, so no operator turns it into a match; "exists" asks for it.
//
// Bind turns tests on text into one test per distinct value of a batch (dictionary
// push-down). Tests that need the replayed state of the acting process (proc.exe,
// proc.aname, anc, desc) run row by row on what the columns let through.
package lang
