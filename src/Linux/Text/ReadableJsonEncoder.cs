using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;

namespace Keepalive.Linux.Text;

/// <summary>JSON that people read too: letters and quotes stay as they are; control characters and what a predicate selects are escaped. Not for
/// embedding in HTML.</summary>
/// <param name="alsoEscape">Characters beyond ASCII to write as <c>\u202E</c>.</param>
public sealed unsafe class ReadableJsonEncoder(Func<Rune, bool> alsoEscape) : JavaScriptEncoder
{
    private static readonly JavaScriptEncoder s_relaxed = UnsafeRelaxedJsonEscaping;

    public override int MaxOutputCharactersPerInputCharacter => s_relaxed.MaxOutputCharactersPerInputCharacter;

    public override bool WillEncode(int unicodeScalar) => s_relaxed.WillEncode(unicodeScalar) || (unicodeScalar > 0x7F && alsoEscape(new Rune(unicodeScalar)));

    // What the relaxed encoder allows it writes as it is, also here.
    public override bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten) =>
        !s_relaxed.WillEncode(unicodeScalar) && WillEncode(unicodeScalar)
            ? new Span<char>(buffer, bufferLength).TryWrite(CultureInfo.InvariantCulture, $"\\u{unicodeScalar:X4}", out numberOfCharactersWritten)
            : s_relaxed.TryEncodeUnicodeScalar(unicodeScalar, buffer, bufferLength, out numberOfCharactersWritten);

    public override int FindFirstCharacterToEncode(char* text, int textLength)
    {
        var rest = new ReadOnlySpan<char>(text, textLength);
        if (Ascii.IsValid(rest))
        {
            return s_relaxed.FindFirstCharacterToEncode(text, textLength);
        }
        while (!rest.IsEmpty)
        {
            var isWhole = Rune.DecodeFromUtf16(rest, out var character, out var length) == System.Buffers.OperationStatus.Done;
            if (!isWhole || WillEncode(character.Value))
            {
                return textLength - rest.Length;
            }
            rest = rest[length..];
        }
        return -1;
    }

    public override int FindFirstCharacterToEncodeUtf8(ReadOnlySpan<byte> utf8Text) =>
        Ascii.IsValid(utf8Text) ? s_relaxed.FindFirstCharacterToEncodeUtf8(utf8Text) : base.FindFirstCharacterToEncodeUtf8(utf8Text);
}
