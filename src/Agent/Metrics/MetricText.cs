using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;

namespace Keepalive.Agent.Metrics;

/// <summary>The Prometheus text format (version 0.0.4) in UTF-8, in a buffer that is used again and again.</summary>
internal sealed class MetricText
{
    private byte[] _buffer = new byte[16 * 1024];

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Written => _buffer.AsMemory(0, Length);

    /// <summary>Takes back what was written after <paramref name="length"/>.</summary>
    public void Truncate(int length) => Length = length;

    /// <summary>A metric without labels.</summary>
    public void Single(string name, string type, double value)
    {
        Head(name, type);
        Line(name, "", "", value);
    }

    /// <summary>A metric with as many series as <paramref name="samples"/>; nothing where there are none.</summary>
    public void Family(string name, string type, IReadOnlyList<Sample> samples)
    {
        if (samples.Count == 0)
        {
            return;
        }
        Head(name, type);
        for (var i = 0; i < samples.Count; i++)
        {
            Line(name, "", samples[i].Labels, samples[i].Value);
        }
    }

    /// <summary>Help and type, in front of a metric's lines.</summary>
    public void Head(string name, string type)
    {
        Text("# HELP ");
        Text(name);
        Text(" ");
        Text(MetricCatalogue.Help[name]);
        Text("\n# TYPE ");
        Text(name);
        Text(" ");
        Text(type);
        Text("\n");
    }

    /// <param name="name">The metric.</param>
    /// <param name="suffix">What a histogram's lines have behind its name.</param>
    /// <param name="labels">As <see cref="Exposition.Labels"/> makes them, or nothing.</param>
    /// <param name="value">The value.</param>
    public void Line(string name, string suffix, string labels, double value)
    {
        Text(name);
        Text(suffix);
        Text(labels);
        Text(" ");
        Number(value);
        Text("\n");
    }

    public override string ToString() => Encoding.UTF8.GetString(Written.Span);

    private void Text(string text)
    {
        // Three bytes at most for each UTF-16 unit; what is no text becomes U+FFFD.
        Utf8.FromUtf16(text, Room(text.Length * 3), out _, out var written, replaceInvalidSequences: true);
        Length += written;
    }

    private void Number(double value)
    {
        if (double.IsFinite(value))
        {
            Utf8Formatter.TryFormat(value, Room(32), out var written);
            Length += written;
            return;
        }
        Text(double.IsNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    }

    private Span<byte> Room(int bytes)
    {
        if (_buffer.Length - Length < bytes)
        {
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, Length + bytes));
        }
        return _buffer.AsSpan(Length);
    }
}
