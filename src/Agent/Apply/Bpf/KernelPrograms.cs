using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The loaded programs of Bpf/keepalive.bpf.c: their names and their handles.</summary>
internal sealed class KernelPrograms : IDisposable
{
    public const string Established = "ka_established";
    public const string OwnSetting = "ka_own_setting";
    public const string Settings = "settings";

    private const string Read = "ka_read";
    private const string Apply = "ka_apply";
    private const string Owners = "ka_owners";
    private const string Processes = "ka_processes";
    private const string Match = "ka_match";
    private const string States = "ka_states";

    private static readonly string[] s_needed = [Established, OwnSetting, Read, Apply];
    private static readonly string[] s_dispensable = [Owners, Processes, States];

    private readonly BpfObject _object;
    private readonly bool _hasStates;

    private KernelPrograms(BpfObject loaded, bool withDispensable)
    {
        (_object, _hasStates) = (loaded, withDispensable);
        Reader = loaded.Iterator(Read);
        Applier = loaded.Iterator(Apply);
        OwnerReader = withDispensable ? loaded.Iterator(Owners) : null;
        ProcessReader = withDispensable ? loaded.Iterator(Processes) : null;
    }

    /// <summary>The limit of rules of a policy. Only memory limits them, except in tests of a policy that does not fit.</summary>
    public int MaxRules { get; init; } = int.MaxValue;

    /// <summary>Yields a <see cref="BpfAbi.ka_socket"/> for each socket of a namespace.</summary>
    public BpfIterator Reader { get; }

    /// <summary>Carries out the <see cref="Plans"/> and those of the <see cref="Queue"/> for sockets of a namespace; yields a
    /// <see cref="BpfAbi.ka_outcome"/> for each.</summary>
    public BpfIterator Applier { get; }

    /// <summary>Yields a <see cref="BpfAbi.ka_owner"/> for each descriptor of a TCP socket; null if the kernel refuses that
    /// program.</summary>
    public BpfIterator? OwnerReader { get; }

    /// <summary>Yields a <see cref="BpfAbi.ka_process"/> for each process; null if the kernel refuses that program.</summary>
    public BpfIterator? ProcessReader { get; }

    public BpfMap Plans => _object.Map("plans");

    public BpfMap Queue => _object.Map("queue");

    public BpfMap QueueState => _object.Map("queue_state");

    public BpfMap Namespaces => _object.Map("namespaces");

    public BpfMap Activities => _object.Map("activities");

    public BpfMap Policy => _object.Map("policy");

    public BpfMap Arrivals => _object.Map("arrivals");

    public BpfMap Counters => _object.Map("counters");

    public BpfMap SettingsMap => _object.Map(Settings);

    /// <summary>Loads the programs. If the kernel refuses all of them together, the programs that only save work are left out: those that
    /// list processes and owners, and that count connections.</summary>
    /// <param name="withTests">Whether to load also the program with which a test asks for the rule of an address.</param>
    /// <param name="maxRules">See <see cref="MaxRules"/>.</param>
    /// <param name="types">See <see cref="BpfObject.Load"/>.</param>
    /// <exception cref="BpfException">The kernel, its verifier or libbpf refused.</exception>
    /// <exception cref="LinuxException">Another object that a run needs cannot be created.</exception>
    public static KernelPrograms Load(bool withTests = false, int maxRules = int.MaxValue, string? types = null)
    {
        string[] wanted = withTests ? [.. s_needed, Match] : s_needed;
        try
        {
            return Load([.. wanted, .. s_dispensable], maxRules, types);
        }
        catch (BpfException e) when (LoadFailure.Of(e, KernelRelease.Text) is not null)
        {
            return Load(wanted, maxRules, types);
        }
    }

    private static KernelPrograms Load(string[] programs, int maxRules, string? types)
    {
        var loaded = LoadObject(programs, types);
        try
        {
            return new KernelPrograms(loaded, withDispensable: programs.Contains(Owners)) { MaxRules = maxRules };
        }
        catch
        {
            loaded.Dispose();
            throw;
        }
    }

    /// <summary>Has the kernel's verifier check one program, and unloads it.</summary>
    /// <exception cref="BpfException">The kernel, its verifier or libbpf refused.</exception>
    public static void Try(string program) => LoadObject([program], types: null).Dispose();

    public BpfLink AttachToCgroup(string program, string cgroup) => _object.AttachToCgroup(program, cgroup);

    /// <summary>Attaches the program that counts the connections that come and go. Null if the kernel refuses it.</summary>
    public BpfLink? TryAttachStates()
    {
        try
        {
            return _hasStates ? _object.Attach(States) : null;
        }
        catch (BpfException)
        {
            return null;
        }
    }

    /// <summary>How often that program was left out, because it was running on that processor already.</summary>
    public ulong MissedStates => _object.Misses(States);

    /// <summary>Asks the kernel for the rule of a connection.</summary>
    public void RunMatch(Span<byte> packet) => _object.Run(Match, packet);

    public void Dispose()
    {
        Reader.Dispose();
        Applier.Dispose();
        OwnerReader?.Dispose();
        ProcessReader?.Dispose();
        _object.Dispose();
    }

    private static BpfObject LoadObject(string[] programs, string? types)
    {
        string[] all = [.. s_needed, .. s_dispensable, Match];
        Span<byte> constants = stackalloc byte[sizeof(uint)];
        BitConverter.TryWriteBytes(constants, KernelClock.TicksPerSecond());
        return BpfObject.Load(Image(), programs, all.Except(programs), constants, types);
    }

    private static byte[] Image()
    {
        using var stream = typeof(KernelPrograms).Assembly.GetManifestResourceStream("keepalive.bpf.o")
            ?? throw new BpfException("loading the BPF programs", Errno.ENOENT, "this build has none: there was no clang, or no libbpf headers");
        var image = new byte[stream.Length];
        stream.ReadExactly(image);
        return image;
    }
}
