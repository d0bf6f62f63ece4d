using Keepalive.Config.Balancers;

namespace Keepalive.Agent.Support;

/// <summary>The machine that the program runs on, as its firmware describes it. All users may read this, also in a container.</summary>
internal static class Machine
{
    /// <summary>Names another directory with the facts of a firmware.</summary>
    private const string Variable = "KEEPALIVE_DMI";

    private const string Firmware = "/sys/class/dmi/id";
    private const int MaxLength = 256;

    /// <summary>Returns the machine; null if it is of no known cloud.</summary>
    public static CloudMachine? Recognize()
    {
        var directory = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } other ? other : Firmware;
        return CloudMachine.Recognize(new MachineFacts(
            Read(directory, "sys_vendor"), Read(directory, "product_name"), Read(directory, "chassis_asset_tag"),
            Read(directory, "bios_version"), Read(directory, "product_uuid")));
    }

    private static string Read(string directory, string name)
    {
        try
        {
            using var file = File.OpenText(Path.Combine(directory, name));
            Span<char> text = stackalloc char[MaxLength];
            return text[..file.ReadBlock(text)].Trim().ToString();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";   // there is no firmware with DMI (some ARM machines), or the container hides it
        }
    }
}
