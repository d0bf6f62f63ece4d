using Keepalive.Fuzzing;
using SharpFuzz;

// Fuzzing targets | seeds TARGET DIR | instrument ASSEMBLY | try TARGET FILE… | run TARGET
switch (args)
{
    case ["targets"]:
        Console.WriteLine(string.Join('\n', Targets.All.Keys));
        return 0;

    // The seeds of a fuzzer.
    case ["seeds", var name, var directory]:
        Directory.CreateDirectory(directory);
        foreach (var (seed, number) in Targets.All[name].Seeds().Select((seed, number) => (seed, number)))
        {
            File.WriteAllBytes(Path.Combine(directory, $"seed-{number}"), seed);
        }
        return 0;

    // Instruments an assembly so that it reports its branches. Generated code has branches that no input reaches.
    case ["instrument", var assembly]:
        var types = Fuzzer.Instrument(assembly, type => Array.Exists(["Keepalive.", "YamlDotNet."], type.StartsWith), Options.Value);
        Console.WriteLine($"{Path.GetFileName(assembly)}: {types.Count()} types");
        return 0;

    // Repeats an input that the fuzzer found, with its exception.
    case ["try", var name, .. var files]:
        foreach (var file in files)
        {
            Console.WriteLine(file);
            Targets.All[name].Read(File.ReadAllBytes(file));
        }
        return 0;

    case ["run", var name]:
        var read = Targets.All[name].Read;
        Fuzzer.Run(stream =>
        {
            using var copy = new MemoryStream();
            stream.CopyTo(copy);
            read(copy.ToArray());
        });
        return 0;

    default:
        Console.Error.WriteLine("usage: Fuzzing targets | seeds TARGET DIR | instrument ASSEMBLY | try TARGET FILE... | run TARGET");
        return 2;
}
