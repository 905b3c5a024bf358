// Package probe attaches the hooks and says what their absence costs.
//
// Words: a hook is one program in its place; coverage is one row per hook that says whether it
// was attached and, if not, why and what cannot be seen; a profile is a choice of hooks; a blind
// spot is something that no hook of this tier sees, reported like an absent hook.
package probe
