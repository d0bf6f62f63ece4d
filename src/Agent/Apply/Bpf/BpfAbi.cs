using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The mirror of Bpf/keepalive.h, with the same names. A test compares the two.</summary>
internal static class BpfAbi
{
    public const byte KA_ON = 1;
    public const byte KA_OWN_TIME = 2;
    public const byte KA_OWN_INTERVAL = 4;
    public const byte KA_OWN_PROBES = 8;

    public const byte KA_TIGHTEN = 0;
    public const byte KA_KEEP = 1;
    public const byte KA_REPLACE = 2;

    public const byte KA_TIMEOUT_KEPT = 0;
    public const byte KA_TIMEOUT_CHANGED = 1;
    public const byte KA_TIMEOUT_SKIPS = 2;

    public const uint KA_LEFT_ALONE = 0;
    public const uint KA_IN_SCOPE = 1;

    public const uint KA_UNKNOWN_TIMER = 1;
    public const uint KA_UNKNOWN_EXPIRES = 2;
    public const uint KA_UNKNOWN_IDLE = 4;
    public const uint KA_UNKNOWN_USER_TIMEOUT = 8;
    public const uint KA_UNKNOWN_CGROUP = 16;
    public const uint KA_UNKNOWN_UID = 32;

    public const byte KA_NO_INODE = 1;
    public const byte KA_KERNEL = 2;
    public const byte KA_SUBFLOW = 4;
    public const byte KA_SET_AT_ONCE = 8;

    public const uint KA_DONE = 0;
    public const uint KA_PROBING = 1;
    public const uint KA_CHANGED = 2;
    public const uint KA_REFUSED = 3;
    public const uint KA_MISMATCH = 4;
    public const uint KA_NOT_NOW = 5;
    public const uint KA_NOT_SENT = 6;

    public const byte KA_ASK = 1;
    public const byte KA_ASKED = 2;
    public const byte KA_ASKED_LAST = 3;

    public const uint KA_LOST = 0;
    public const uint KA_UNREMEMBERED = 1;
    public const uint KA_FAILED = 2;
    public const uint KA_COUNTERS = 3;

    public const uint KA_MAX_CHANGES = 256;
    public const uint KA_MAX_QUEUED = 32768;

    [InlineArray(16)]
    internal struct ka_address
    {
        private byte _0;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_values
    {
        public uint time;
        public uint interval;
        public byte probes;
        public byte flags;
        public ushort reserved;
        public uint user_timeout;

        public static ka_values From(KeepaliveOptions options, int? userTimeout) => new()
        {
            time = (uint)options.Time,
            interval = (uint)options.Interval,
            probes = (byte)options.Probes,
            flags = options.Enabled ? KA_ON : (byte)0,
            user_timeout = (uint)(userTimeout ?? 0),
        };

        public readonly KeepaliveOptions ToOptions() => new((flags & KA_ON) != 0, (int)time, (int)interval, probes);
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_prefix
    {
        public uint length;
        public byte family;
        public byte reserved;
        public ushort port;
        public ka_address address;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_rule
    {
        public uint rule;
        public ushort time;
        public ushort interval;
        public byte probes;
        public byte existing;
        public byte user_timeout;
        public byte reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_settings
    {
        public uint states;
        public byte both_sides;
        public byte listed_only;
        public byte is_current;
        public byte reserved;
        public uint owner;
        public uint owner_pidns;
        public uint batch;
        public ulong owner_started;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_tuple
    {
        public ka_address local;
        public ka_address remote;
        public ushort local_port;
        public ushort remote_port;
        public uint netns;
        public ulong cookie;

        public readonly SocketEndpoint Local => new(BinaryPrimitives.ReadUInt128BigEndian(local), local_port);

        public readonly SocketEndpoint Remote => new(BinaryPrimitives.ReadUInt128BigEndian(remote), remote_port);
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_maker
    {
        public ulong cgroup;
        public uint uid;
        public uint unknown;

        public readonly uint? Uid => (unknown & KA_UNKNOWN_UID) == 0 ? uid : null;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_socket
    {
        public ka_tuple tuple;
        public byte state;
        public byte timer;
        public byte unanswered;
        public byte kind;
        public uint expires;
        public uint idle;
        public ka_values values;
        public ka_values found;
        public ka_values set;
        public uint unknown;
        public ka_maker maker;

        public readonly int? UserTimeout => (unknown & KA_UNKNOWN_USER_TIMEOUT) == 0 ? (int)values.user_timeout : null;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_plan
    {
        public ka_values expected;
        public ka_values wanted;
        public byte even_if_probing;
        public byte ask;
        public ushort reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_queued
    {
        public ulong cookie;
        public ka_plan plan;
        public uint reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_queue
    {
        public uint next;
        public uint count;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_outcome
    {
        public ulong cookie;
        public ka_values values;
        public uint result;
        public int error;
        public uint unanswered;
        public uint idle;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_arrival
    {
        public ka_tuple tuple;
        public ka_values found;
        public ka_values set;
        public ka_maker maker;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_activity
    {
        public ulong untold;
        public ulong begun;
        public ulong ended;
        public uint batch;
        public uint told;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_change
    {
        public ulong cookie;
        public ulong time;
        public uint netns;
        public byte state;
        public byte stays;
        public ushort reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_owner
    {
        public ulong cookie;
        public uint pid;
        public uint netns;
        public ka_values values;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_process
    {
        public uint pid;
        public uint netns;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ka_match_test
    {
        public ka_address header;
        public ka_address local;
        public ka_address remote;
        public ushort local_port;
        public ushort remote_port;
        public uint found;
        public ka_rule rule;
    }
}
