using Keepalive.Agent.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Sockets;

public sealed class SocketTableTests
{
    private readonly SocketTable<Entry> _table = new();
    private readonly Dictionary<ulong, int> _model = [];

    [Theory]
    [InlineData(1, 60)]
    [InlineData(2, 5_000)]
    [InlineData(3, 20_000)]
    public void AddAndRemove_AtRandom_HasWhatADictionaryHas(int seed, int most)
    {
        var random = new Random(seed);
        for (var step = 0; step < 100_000; step++)
        {
            // Cookies come from a small range, so that many are found, and a few from anywhere.
            var cookie = random.Next(50) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(2 * most);
            if (_model.TryGetValue(cookie, out var value))
            {
                Assert.True(_table.TryGetValue(cookie, out var found));
                Assert.Equal(new Entry(cookie, value), found);
                if (random.Next(3) == 0)
                {
                    _model.Remove(cookie);
                    Assert.True(_table.Remove(cookie, out found));
                    Assert.Equal(new Entry(cookie, value), found);
                }
            }
            else
            {
                Assert.False(_table.ContainsKey(cookie));
                Assert.False(_table.Remove(cookie));
                Add(cookie, step);
            }
            if (random.Next(5_000) == 0)
            {
                _table.TrimExcess();
            }
        }
        AssertIsModel();
    }

    [Fact]
    public void GetEnumerator_RemovingTheCurrent_ShowsEachOnce()
    {
        for (var cookie = 1ul; cookie <= 3_000; cookie++)
        {
            Add(cookie, (int)cookie);
        }
        var shown = new List<ulong>();
        foreach (var entry in _table)
        {
            shown.Add(entry.Cookie);
            if (entry.Value % 3 != 0)
            {
                Assert.True(_table.Remove(entry.Cookie));
                _model.Remove(entry.Cookie);
            }
        }
        Assert.Equal(3_000, shown.Distinct().Count());
        Assert.Equal(3_000, shown.Count);
        AssertIsModel();
    }

    [Fact]
    public void GetEnumerator_NothingRemoved_HasTheOrderOfAdding()
    {
        ulong[] cookies = [7, 3, 1_000_000, 0, ulong.MaxValue, 4];
        foreach (var cookie in cookies)
        {
            Add(cookie, 0);
        }
        Assert.Equal(cookies, _table.Select(static entry => entry.Cookie));
    }

    [Fact]
    public void Capacity_ManyThousand_IsLittleMoreThanTheCount()
    {
        for (var cookie = 1ul; cookie <= 50_001; cookie++)
        {
            Add(cookie, 0);
            Assert.True(_table.Capacity <= Math.Max(4, Math.Max(4 * _table.Count, 1024)) && _table.Capacity < _table.Count + 1024);
        }
        for (var cookie = 1ul; cookie <= 49_000; cookie++)
        {
            _table.Remove(cookie);
            _model.Remove(cookie);
        }
        _table.TrimExcess();
        Assert.InRange(_table.Capacity, 1_001, 2_048);
        AssertIsModel();
    }

    private void Add(ulong cookie, int value)
    {
        _table.Add(new Entry(cookie, value));
        _model.Add(cookie, value);
    }

    private void AssertIsModel()
    {
        Assert.Equal(_model.Count, _table.Count);
        Assert.Equal(_model.Count, _table.Count(entry => _model[entry.Cookie] == entry.Value));
        Assert.All(_model, known => Assert.True(_table.TryGetValue(known.Key, out var found) && found.Value == known.Value));
    }

    private readonly record struct Entry(ulong Cookie, int Value) : ISocketEntry;
}
