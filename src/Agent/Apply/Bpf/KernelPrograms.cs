using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The programs of Bpf/keepalive.bpf.c, loaded: what each is called, and how it is handled.</summary>
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

    private readonly BpfObject _object;

    private KernelPrograms(BpfObject loaded)
    {
        _object = loaded;
        Reader = loaded.Iterator(Read);
        Applier = loaded.Iterator(Apply);
        OwnerReader = loaded.Iterator(Owners);
        ProcessReader = loaded.Iterator(Processes);
    }

    /// <summary>How many rules a policy may have; there is no limit but memory, except in tests of what happens where there is none.</summary>
    public int MostRules { get; init; } = int.MaxValue;

    /// <summary>Yields a <see cref="BpfAbi.ka_socket"/> for each socket of a namespace.</summary>
    public BpfIterator Reader { get; }

    /// <summary>Carries out what <see cref="Plans"/> holds for a namespace; yields a <see cref="BpfAbi.ka_outcome"/> for each.</summary>
    public BpfIterator Applier { get; }

    /// <summary>Yields a <see cref="BpfAbi.ka_owner"/> for each descriptor of a TCP socket.</summary>
    public BpfIterator OwnerReader { get; }

    /// <summary>Yields a <see cref="BpfAbi.ka_process"/> for each process.</summary>
    public BpfIterator ProcessReader { get; }

    public BpfMap Plans => _object.Map("plans");

    public BpfMap Namespaces => _object.Map("namespaces");

    public BpfMap Policy => _object.Map("policy");

    public BpfMap Arrivals => _object.Map("arrivals");

    public BpfMap Counters => _object.Map("counters");

    public BpfMap SettingsMap => _object.Map(Settings);

    /// <summary>Loads them.</summary>
    /// <param name="withTests">Also the program by which a test asks for the rule of an address.</param>
    /// <param name="mostRules">See <see cref="MostRules"/>.</param>
    /// <exception cref="BpfException">The kernel, its verifier or libbpf refused.</exception>
    /// <exception cref="LinuxException">What a run needs besides cannot be made.</exception>
    public static KernelPrograms Load(bool withTests = false, int mostRules = int.MaxValue)
    {
        Span<byte> constants = stackalloc byte[sizeof(uint)];
        BitConverter.TryWriteBytes(constants, KernelClock.TicksPerSecond());
        string[] tests = [Match];
        var loaded = BpfObject.Load(
            Image(), [Established, OwnSetting, Read, Apply, Owners, Processes, .. withTests ? tests : []], withTests ? [] : tests, constants);
        try
        {
            return new KernelPrograms(loaded) { MostRules = mostRules };
        }
        catch
        {
            loaded.Dispose();
            throw;
        }
    }

    /// <summary>Has the kernel's verifier look at one program, and forgets it.</summary>
    /// <exception cref="BpfException">The kernel, its verifier or libbpf refused.</exception>
    public static void Try(string program)
    {
        string[] all = [Established, OwnSetting, Read, Apply, Owners, Processes, Match];
        Span<byte> constants = stackalloc byte[sizeof(uint)];
        BitConverter.TryWriteBytes(constants, KernelClock.TicksPerSecond());
        BpfObject.Load(Image(), [program], all.Where(other => other != program), constants).Dispose();
    }

    public BpfLink AttachToCgroup(string program, string cgroup) => _object.AttachToCgroup(program, cgroup);

    /// <summary>Asks the kernel for the rule of a connection.</summary>
    public void RunMatch(Span<byte> packet) => _object.Run(Match, packet);

    public void Dispose()
    {
        Reader.Dispose();
        Applier.Dispose();
        OwnerReader.Dispose();
        ProcessReader.Dispose();
        _object.Dispose();
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
