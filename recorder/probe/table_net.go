package probe

import (
	"strings"

	"hindcast/format/event"
)

// netTable lists the hooks that see sockets beyond TCP connections and flows.
func netTable() []Entry {
	t := []Entry{
		{Name: "hc_connect", Group: connections, Feeds: types(event.ConnectDenied, event.UnixConn, event.Mismatch), Minimal: true,
			Without: "connects that were refused before anything was sent, who connected to which unix socket, and addresses that were rewritten on their way"},
		{Name: "hc_unix_cookie", Group: connections, Feeds: types(event.UnixConn),
			Without: "cookies of unix sockets as they are connected: ends are joined by inode, except where one was closed before it was accepted"},
		{Name: "hc_bind", Group: connections, Feeds: types(event.Bind), Minimal: true,
			Without: "which process took, or was refused, which local address"},
		{Name: "hc_socket", Group: connections, Feeds: types(event.SocketNew),
			Without: "raw, packet, netlink and other rare sockets"},
	}
	for _, f := range []struct{ name, what string }{ // of unix sockets no totals are told
		{"inet_sendmsg", "sends over IPv4"}, {"inet_recvmsg", "receives over IPv4"},
		{"inet6_sendmsg", "sends over IPv6"}, {"inet6_recvmsg", "receives over IPv6"},
		{"unix_stream_sendmsg", "sends over unix streams"}, {"unix_stream_recvmsg", "receives over unix streams"},
		{"unix_dgram_sendmsg", "sends of unix datagrams"}, {"unix_dgram_recvmsg", "receives of unix datagrams"},
		{"unix_seqpacket_sendmsg", "sends of unix packets"}, {"unix_seqpacket_recvmsg", "receives of unix packets"},
	} {
		e := Entry{Name: "hc_" + f.name, Group: flows, Feeds: types(event.SockFirst), Before: "6.3",
			Without: f.what + ": which process used which socket"}
		if strings.HasPrefix(f.name, "inet") {
			e.Feeds = types(event.SockFirst, event.SockTotal)
			e.Without += ", and the totals of UDP"
		}
		t = append(t, e)
	}
	return t
}
