namespace Keepalive.Linux.Sockets;

/// <summary>The identity of a network namespace.</summary>
/// <param name="Inode">The inode number of its file, the namespace's own as long as somebody holds it.</param>
/// <param name="Cookie">Its cookie (SO_NETNS_COOKIE), never reused until the next boot; 0 before Linux 5.14, which has none.</param>
public readonly record struct NamespaceIdentity(ulong Inode, ulong Cookie);
