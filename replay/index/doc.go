// Package index holds the lookups that replay is made of: values valid over intervals
// of time under a key, interned names, and the short ids that users see.
//
// Words: a span is a value that holds for a key during [From, To); a short id is the
// shortest prefix of an entity's hash that no other entity of its kind has.
package index
