package probe

import "hindcast/format/event"

// netTable lists the hooks that see sockets beyond TCP connections and flows.
func netTable() []Entry {
	return []Entry{
		{Name: "hc_connect", Group: connections, Feeds: types(event.ConnectDenied, event.UnixConn, event.Mismatch), Minimal: true,
			Without: "connects that were refused before anything was sent, who connected to which unix socket, and addresses that were rewritten on their way"},
		{Name: "hc_unix_cookie", Group: connections, Feeds: types(event.UnixConn),
			Without: "cookies of unix sockets as they are connected: ends are joined by inode, except where one was closed before it was accepted"},
		{Name: "hc_bind", Group: connections, Feeds: types(event.Bind), Minimal: true,
			Without: "which process took, or was refused, which local address"},
		{Name: "hc_socket", Group: connections, Feeds: types(event.SocketNew),
			Without: "raw, packet, netlink and other rare sockets"},
	}
}
