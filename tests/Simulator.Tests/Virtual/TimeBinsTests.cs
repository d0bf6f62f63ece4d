using FsCheck;
using FsCheck.Fluent;
using Keepalive.Simulator.Virtual;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

public sealed class TimeBinsTests
{
    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Add_SeveralAtOnce_IsTheSameAsOneByOne() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(int Length, int First, int Distance, int Count)>(), one =>
        {
            var (length, first, distance) = (1 + Math.Abs((long)one.Length % 1000), Math.Abs((long)one.First), 1 + Math.Abs((long)one.Distance % 500));
            var count = 1 + Math.Abs((long)one.Count % 300);
            var (together, each, divided) = (new long[24], new long[24], new long[24]);
            new TimeBins(together, length).Add(first, distance, count);
            for (var i = 0; i < count; i++)
            {
                new TimeBins(each, length).Add(first + (i * distance));
                divided[Math.Min(23, (first + (i * distance)) / length)]++;
            }
            return together.SequenceEqual(divided) && each.SequenceEqual(divided);
        }).Check(Fuzz.Property(2000));

    [Fact]
    public void Add_WhereAPartEnds_IsOfTheNext()
    {
        var counts = new long[3];
        var bins = new TimeBins(counts, 3_600_000_000_007);
        for (var part = 0; part < 3; part++)
        {
            bins.Add(3_600_000_000_007L * part);
            bins.Add((3_600_000_000_007L * (part + 1)) - 1);
        }

        Assert.Equal([2, 2, 2], counts);
    }
}
