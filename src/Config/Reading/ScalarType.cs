using System.Buffers;
using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Keepalive.Config.Reading;

/// <summary>The type that the API server gives to a scalar.</summary>
internal enum ScalarType
{
    Null,
    Boolean,
    Integer,

    /// <summary>A number that is not written as a plain decimal integer: 1.5, 1e3, 0x10, 017, 1_000.</summary>
    OtherNumber,
    String,

    /// <summary>Something that was reported already and stands for no value.</summary>
    Broken,
}

/// <summary>Tells the type of a scalar by YAML 1.1's rules, which kubectl follows: yes and off are booleans.</summary>
internal static class ScalarTypes
{
    private static readonly SearchValues<char> s_hexDigits = SearchValues.Create("0123456789abcdefABCDEF_");
    private static readonly SearchValues<char> s_mantissaCharacters = SearchValues.Create("0123456789._");

    private const string CorePrefix = "tag:yaml.org,2002:";

    /// <summary>The type, or null when the scalar's tag is none of the core ones.</summary>
    public static ScalarType? Resolve(Scalar scalar)
    {
        if (!scalar.Tag.IsEmpty)
        {
            return scalar.Tag.IsNonSpecific ? ScalarType.String : scalar.Tag.Value switch
            {
                CorePrefix + "str" or "!" => ScalarType.String,
                CorePrefix + "int" => IsInteger(scalar.Value) ? ScalarType.Integer : ScalarType.OtherNumber,
                CorePrefix + "float" => ScalarType.OtherNumber,
                CorePrefix + "bool" => ScalarType.Boolean,
                CorePrefix + "null" => ScalarType.Null,
                _ => null,
            };
        }

        return scalar.Style == ScalarStyle.Plain ? ResolvePlain(scalar.Value) : ScalarType.String;
    }

    /// <summary>Whether a collection's tag says no more than its syntax does.</summary>
    public static bool IsCoreCollection(TagName tag) =>
        tag.IsEmpty || tag.IsNonSpecific || tag.Value is "!" or CorePrefix + "map" or CorePrefix + "seq";

    public static ScalarType ResolvePlain(string text) => text switch
    {
        "" or "~" or "null" or "Null" or "NULL" => ScalarType.Null,
        "true" or "True" or "TRUE" or "false" or "False" or "FALSE" => ScalarType.Boolean,
        "yes" or "Yes" or "YES" or "no" or "No" or "NO" => ScalarType.Boolean,
        "on" or "On" or "ON" or "off" or "Off" or "OFF" => ScalarType.Boolean,
        _ when IsInteger(text) => ScalarType.Integer,
        _ when IsOtherNumber(text) => ScalarType.OtherNumber,
        _ => ScalarType.String,
    };

    /// <summary>The integer that a plain scalar stands for: decimal, 0x10, 0o17, 017 or 0b1, with or without underscores.</summary>
    public static bool TryReadInteger(ScalarNode scalar, out long value)
    {
        value = 0;
        if (scalar.Type == ScalarType.Integer)
        {
            return long.TryParse(scalar.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
        }

        if (scalar.Type != ScalarType.OtherNumber)
        {
            return false;
        }

        var text = scalar.Value.Replace("_", "", StringComparison.Ordinal);
        var digits = WithoutSign(text);
        var (radix, prefix) = digits switch
        {
            ['0', 'x' or 'X', _, ..] => (16, 2),
            ['0', 'o' or 'O', _, ..] => (8, 2),
            ['0', 'b' or 'B', _, ..] => (2, 2),
            ['0', _, ..] => (8, 1),
            _ => (10, 0),
        };
        foreach (var digit in digits[prefix..])
        {
            var number = char.IsAsciiHexDigit(digit) ? Convert.ToInt32(digit.ToString(), 16) : radix;
            if (number >= radix || value > (long.MaxValue - number) / radix)
            {
                return false;
            }

            value = (value * radix) + number;
        }

        value = text.StartsWith('-') ? -value : value;
        return true;
    }

    private static bool IsInteger(ReadOnlySpan<char> text)
    {
        text = WithoutSign(text);
        return !text.IsEmpty && !text.ContainsAnyExceptInRange('0', '9') && (text.Length == 1 || text[0] != '0');
    }

    private static bool IsOtherNumber(ReadOnlySpan<char> text)
    {
        text = WithoutSign(text);
        if (text is ".inf" or ".Inf" or ".INF" or ".nan" or ".NaN" or ".NAN")
        {
            return true;
        }

        if (text.Length > 2 && text[0] == '0' && text[1] is 'x' or 'o' or 'b')
        {
            return !text[2..].ContainsAnyExcept(s_hexDigits);
        }

        // Digits with one point, one exponent and underscores: 1.5, .5, 1e3, 1_000, 017.
        var exponent = text.IndexOfAny('e', 'E');
        var mantissa = exponent < 0 ? text : text[..exponent];
        var power = exponent < 0 ? "0" : WithoutSign(text[(exponent + 1)..]);
        return mantissa.IndexOfAnyInRange('0', '9') is 0 or 1 && !mantissa.ContainsAnyExcept(s_mantissaCharacters) && mantissa.Count('.') < 2
            && !power.IsEmpty && !power.ContainsAnyExceptInRange('0', '9');
    }

    private static ReadOnlySpan<char> WithoutSign(ReadOnlySpan<char> text) => text is ['-' or '+', ..] ? text[1..] : text;
}
