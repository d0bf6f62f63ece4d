using System.Diagnostics;
using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>Another owner's sock_ops program at a cgroup. It counts established connections and does nothing else.</summary>
internal sealed class OtherProgram : IDisposable
{
    // Without libbpf: other programs may be attached without it, too.
    private const string Source = """
        #include <fcntl.h>
        #include <linux/bpf.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/syscall.h>
        #include <unistd.h>

        #define INSN(c, d, s, o, i) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }

        static long bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }
        static void must(int good, const char *what) { if (!good) { perror(what); exit(1); } }

        int main(int argc, char **argv)
        {
            union bpf_attr attr;
            char line[64];
            int cgroup = open(argv[1], O_RDONLY | O_DIRECTORY), map, prog;
            must(cgroup >= 0, "open");
            memset(&attr, 0, sizeof attr);
            attr.map_type = BPF_MAP_TYPE_ARRAY; attr.key_size = 4; attr.value_size = 8; attr.max_entries = 1;
            must((map = bpf(BPF_MAP_CREATE, &attr)) >= 0, "BPF_MAP_CREATE");
            struct bpf_insn insns[] = {
                INSN(BPF_LDX | BPF_MEM | BPF_W, 6, 1, 0, 0),                                    // r6 = ops->op
                INSN(BPF_JMP | BPF_JNE | BPF_K, 6, 0, 9, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB),   // another event: out
                INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
                INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
                INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
                INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map), INSN(0, 0, 0, 0, 0),
                INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
                INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
                INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1),
                INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),                          // *r0 += 1
                INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1),
                INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
            };
            memset(&attr, 0, sizeof attr);
            attr.prog_type = BPF_PROG_TYPE_SOCK_OPS; attr.insns = (__u64)(unsigned long)insns; attr.insn_cnt = sizeof insns / sizeof *insns;
            attr.license = (__u64)(unsigned long)"GPL"; strcpy(attr.prog_name, "somebody_elses");
            must((prog = bpf(BPF_PROG_LOAD, &attr)) >= 0, "BPF_PROG_LOAD");
            memset(&attr, 0, sizeof attr);
            attr.target_fd = cgroup; attr.attach_bpf_fd = prog; attr.attach_type = BPF_CGROUP_SOCK_OPS; attr.attach_flags = atoi(argv[2]);
            must(bpf(BPF_PROG_ATTACH, &attr) == 0, "BPF_PROG_ATTACH");
            printf("attached\n"); fflush(stdout);
            while (fgets(line, sizeof line, stdin)) {
                int key = 0; unsigned long long value = 0;
                memset(&attr, 0, sizeof attr);
                attr.map_fd = map; attr.key = (__u64)(unsigned long)&key; attr.value = (__u64)(unsigned long)&value;
                must(bpf(BPF_MAP_LOOKUP_ELEM, &attr) == 0, "BPF_MAP_LOOKUP_ELEM");
                printf("%llu\n", value); fflush(stdout);
            }
            memset(&attr, 0, sizeof attr);
            attr.target_fd = cgroup; attr.attach_bpf_fd = prog; attr.attach_type = BPF_CGROUP_SOCK_OPS;
            must(bpf(BPF_PROG_DETACH, &attr) == 0, "BPF_PROG_DETACH");
            return 0;
        }
        """;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-other");
    private readonly Process _process;

    /// <param name="cgroup">The cgroup to attach to. The kernel detaches the program when the cgroup is removed.</param>
    /// <param name="flags">BPF_F_ALLOW_OVERRIDE (1), BPF_F_ALLOW_MULTI (2), or 0 for neither.</param>
    public OtherProgram(string cgroup, int flags)
    {
        string source = Path.Combine(_directory.FullName, "other.c"), binary = Path.Combine(_directory.FullName, "other");
        File.WriteAllText(source, Source);
        Command.Run("cc", "-O1", "-o", binary, source);
        _process = Spawner.Start(Spawner.Tied([binary, cgroup, flags.ToString(CultureInfo.InvariantCulture)]));
        if (_process.StandardOutput.ReadLine() != "attached")
        {
            throw new InvalidOperationException($"the other program cannot be attached: {_process.StandardError.ReadToEnd()}");
        }
    }

    /// <summary>The program's name in the kernel.</summary>
    public const string Name = "somebody_elses";

    /// <summary>The number of connections of the cgroup that it saw being established.</summary>
    public int Count()
    {
        _process.StandardInput.WriteLine();
        _process.StandardInput.Flush();
        return _process.StandardOutput.ReadLine() is { } line
            ? int.Parse(line, CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"the other program has ended: {_process.StandardError.ReadToEnd()}");
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(10_000))
        {
            _process.Kill();
        }
        _process.Dispose();
        _directory.Delete(recursive: true);
    }
}
