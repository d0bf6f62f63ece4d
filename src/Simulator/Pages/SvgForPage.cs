using System.Globalization;
using System.Text;
using System.Xml.Linq;

namespace Keepalive.Simulator.Pages;

/// <summary>Turns a picture into a part of a page: colours become classes, which the page gives light or dark colours.</summary>
/// <remarks>A page allows no style but its own, so that the styles of the picture would have no effect there.</remarks>
internal static class SvgForPage
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    private static readonly Dictionary<string, string> s_classes = Enum.GetValues<ChartColour>().ToDictionary(ChartDrawing.Hexadecimal, static colour => colour.ToString().ToLowerInvariant());

    /// <summary>Takes away the limits that OxyPlot sets to the names of lines and to marks on the edge. Axes are so long that nothing else is beyond them.</summary>
    public static XElement Unclipped(string svg)
    {
        var root = XDocument.Parse(svg).Root!;
        root.Descendants(s_svg + "defs").Remove();
        root.Descendants().Attributes("clip-path").Remove();
        return root;
    }

    /// <summary>Converts a picture.</summary>
    public static string Convert(string svg)
    {
        var root = Unclipped(svg);
        root.SetAttributeValue("viewBox", $"0 0 {root.Attribute("width")!.Value} {root.Attribute("height")!.Value}");
        foreach (var attribute in new[] { "width", "height", "version" })
        {
            root.SetAttributeValue(attribute, null);
        }
        root.Attributes().Where(static attribute => attribute.IsNamespaceDeclaration && attribute.Name.LocalName == "xlink").Remove();
        foreach (var element in root.Descendants().ToList())
        {
            if (element.Attribute("style") is { } style)
            {
                style.Remove();
                Restyle(element, style.Value);
                if (element.Attribute("class") is null)
                {
                    // Neither filled nor drawn.
                    element.Remove();
                    continue;
                }
            }
            if (element.Name == s_svg + "text")
            {
                foreach (var attribute in new[] { "font-family", "font-weight", "font-size" })
                {
                    element.SetAttributeValue(attribute, null);
                }
                AddClass(element, 'f', element.Attribute("fill")?.Value);
                element.SetAttributeValue("fill", null);
            }
            element.SetAttributeValue("shape-rendering", null);
        }
        root.Descendants(s_svg + "g").Where(static group => !group.HasElements).Remove();
        return root.ToString(SaveOptions.DisableFormatting);
    }

    private static void Restyle(XElement element, string style)
    {
        var properties = style.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(static property => property.Split(':', 2)).ToDictionary(static words => words[0].Trim(), static words => words[1].Trim());
        if (properties.Remove("fill", out var fill))
        {
            AddClass(element, 'f', fill);
        }
        if (properties.Remove("stroke", out var stroke) && properties.GetValueOrDefault("stroke-width") != "0")
        {
            AddClass(element, 's', stroke);
        }
        foreach (var (name, value) in properties.Where(static property => property.Key is "stroke-width" or "stroke-dasharray"))
        {
            element.SetAttributeValue(name, element.Attribute("class")?.Value.Contains("s-", StringComparison.Ordinal) == true ? value : null);
        }
        if (fill == "none" || fill is null)
        {
            element.SetAttributeValue("fill", "none");
        }
    }

    private static void AddClass(XElement element, char what, string? colour)
    {
        if (NameOf(colour) is { } name)
        {
            element.SetAttributeValue("class", $"{element.Attribute("class")?.Value} {what}-{name}".TrimStart());
        }
    }

    /// <summary>The class of a colour: <c>rgb(0,114,178)</c>.</summary>
    private static string? NameOf(string? colour)
    {
        if (colour is null or "none")
        {
            return null;
        }
        if (!colour.StartsWith("rgb(", StringComparison.Ordinal))
        {
            return "ink";
        }
        var hexadecimal = new StringBuilder(6);
        foreach (var part in colour[4..^1].Split(','))
        {
            hexadecimal.Append(CultureInfo.InvariantCulture, $"{byte.Parse(part, CultureInfo.InvariantCulture):x2}");
        }
        return s_classes.GetValueOrDefault(hexadecimal.ToString(), "ink");
    }
}
