using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The body of an answer as it arrives, with at most one object in memory.</summary>
/// <remarks>A server that sends nothing for longer than the limit counts as gone. A connection whose other end vanished looks the same from
/// here as a quiet one.</remarks>
internal sealed class JsonStream : IAsyncDisposable
{
    /// <summary>The maximum size of one object. etcd stores at most 1.5 MiB of it, and the server adds the owner of each field.</summary>
    public const int MaxOfAnObject = 8 * 1024 * 1024;

    private readonly PipeReader _pipe;
    private readonly TimeSpan _quietFor;
    private readonly CancellationToken _stop;
    private readonly CancellationTokenSource _quiet;
    private readonly CancellationTokenSource _ended;

    /// <param name="body">The body of an answer.</param>
    /// <param name="quietFor">The longest time that the server may send nothing.</param>
    /// <param name="time">The clock of that limit.</param>
    /// <param name="stop">Ends the reading.</param>
    public JsonStream(Stream body, TimeSpan quietFor, TimeProvider time, CancellationToken stop)
    {
        _pipe = PipeReader.Create(body, new StreamPipeReaderOptions(bufferSize: 32 * 1024, minimumReadSize: 4096));
        (_quietFor, _stop) = (quietFor, stop);
        _quiet = new CancellationTokenSource(quietFor, time);
        _ended = CancellationTokenSource.CreateLinkedTokenSource(stop, _quiet.Token);
    }

    /// <summary>Reads the next line into <paramref name="take"/>; returns false at the end.</summary>
    /// <exception cref="ApiException">The connection broke or was quiet for too long, or the line is too long.</exception>
    public async Task<bool> ReadLineAsync(ObjectHandler take)
    {
        for (; ; )
        {
            var read = await ReadAsync().ConfigureAwait(false);
            var buffer = read.Buffer;
            if (buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = buffer.Slice(0, end);
                take(in line);
                _pipe.AdvanceTo(buffer.GetPosition(1, end));
                return true;
            }
            if (read.IsCompleted)
            {
                _pipe.AdvanceTo(buffer.End);
                return buffer.IsEmpty ? false : throw new ApiException(0, "the server's answer ended early in the middle of a line");
            }
            More(buffer);
        }
    }

    /// <summary>Reads a list: hands each of its items to <paramref name="take"/> and returns its metadata.</summary>
    /// <exception cref="ApiException">The connection broke or was quiet for too long, or the body is not a list.</exception>
    /// <exception cref="JsonException">The body is not JSON.</exception>
    public async Task<ListMetadata> ReadListAsync(ObjectHandler take)
    {
        var list = new ListScan(take);
        for (; ; )
        {
            var read = await ReadAsync().ConfigureAwait(false);
            var buffer = read.Buffer;
            var consumed = list.Scan(in buffer, read.IsCompleted);
            if (list.IsOver)
            {
                _pipe.AdvanceTo(buffer.End);
                return list.Metadata ?? throw new ApiException(0, "the server sent a list without metadata");
            }
            if (read.IsCompleted)
            {
                throw new ApiException(0, "the server's answer ended early");
            }
            More(buffer.Slice(consumed));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _pipe.CompleteAsync().ConfigureAwait(false);
        _ended.Dispose();
        _quiet.Dispose();
    }

    private async Task<ReadResult> ReadAsync()
    {
        try
        {
            _quiet.CancelAfter(_quietFor);
            return await _pipe.ReadAsync(_ended.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (!_stop.IsCancellationRequested)
        {
            throw new ApiException(0, $"the server sent nothing for {_quietFor.TotalSeconds:0.#} s", e) { IsSilence = true };
        }
        catch (Exception e) when (e is HttpRequestException or InvalidDataException || e is IOException and not ApiException)
        {
            throw new ApiException(0, $"the server's answer ended early: {e.Message}", e);
        }
    }

    /// <summary>Leaves the incomplete rest of an object in the pipe.</summary>
    private void More(ReadOnlySequence<byte> rest)
    {
        if (rest.Length > MaxOfAnObject)
        {
            throw new ApiException(0, $"the server sent an object of more than {MaxOfAnObject / 1024 / 1024} MiB");
        }
        _pipe.AdvanceTo(rest.Start, rest.End);
    }

    /// <summary>Splits a list into its items as it arrives.</summary>
    private sealed class ListScan(ObjectHandler take)
    {
        private JsonReaderState _state = new(ApiJson.Reading);
        private bool _inItems;
        private string? _field;

        public ListMetadata? Metadata { get; private set; }

        public bool IsOver { get; private set; }

        /// <summary>Takes the complete items at the start of a buffer; returns the position of the rest.</summary>
        public SequencePosition Scan(in ReadOnlySequence<byte> buffer, bool isLast)
        {
            var reader = new Utf8JsonReader(buffer, isLast, _state);
            var taken = reader.Position;
            while (!IsOver && TryStep(ref reader, in buffer))
            {
                _state = reader.CurrentState;
                taken = reader.Position;
            }
            return taken;
        }

        private bool TryStep(ref Utf8JsonReader reader, in ReadOnlySequence<byte> buffer)
        {
            if (!reader.Read())
            {
                return false;
            }
            switch (reader.TokenType)
            {
                case JsonTokenType.PropertyName when !_inItems && reader.CurrentDepth == 1:
                    _field = ApiJson.Text(ref reader);
                    return true;
                case JsonTokenType.StartArray when _field == "items" && reader.CurrentDepth == 1:
                    _inItems = true;
                    return true;
                case JsonTokenType.EndArray when _inItems && reader.CurrentDepth == 1:
                    _inItems = false;
                    return true;
                case JsonTokenType.StartObject when reader.CurrentDepth == 0:
                    return true;
                case JsonTokenType.EndObject when reader.CurrentDepth == 0:
                    IsOver = true;
                    return true;
                default:
                    return TryTakeValue(ref reader, in buffer);
            }
        }

        private bool TryTakeValue(ref Utf8JsonReader reader, in ReadOnlySequence<byte> buffer)
        {
            if (reader.CurrentDepth == 0)
            {
                throw new JsonException("not a list");
            }
            var start = reader.TokenStartIndex;
            if (!reader.TrySkip())
            {
                return false;
            }
            if (_inItems || _field == "metadata")
            {
                var value = buffer.Slice(start, reader.BytesConsumed - start);
                if (_inItems)
                {
                    take(in value);
                }
                else
                {
                    var text = new Utf8JsonReader(value);
                    Metadata = JsonSerializer.Deserialize(ref text, ApiJsonContext.Default.ListMetadata);
                }
            }
            return true;
        }
    }
}

/// <summary>Takes the text of an object. It is valid only until the call returns.</summary>
internal delegate void ObjectHandler(in ReadOnlySequence<byte> json);
