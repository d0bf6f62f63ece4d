using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Metrics;

/// <summary>Kestrel on <c>--listen</c>, serving /metrics and nothing that shows whose connections there are.</summary>
internal sealed class MetricsServer : IAsyncDisposable
{
    private readonly WebApplication _application;

    private MetricsServer(WebApplication application) => _application = application;

    /// <summary>Starts to listen.</summary>
    /// <exception cref="IOException">The address is taken or is not this host's.</exception>
    public static async Task<MetricsServer> StartAsync(IPEndPoint address, Exposition exposition, ILoggerFactory loggers)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton(loggers);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxConcurrentConnections = 512;
            kestrel.Limits.MaxRequestBodySize = 0;
            kestrel.Listen(address);
        });
        var application = builder.Build();
        application.MapGet("/metrics", (HttpContext context) =>
        {
            context.Response.ContentType = Exposition.ContentType;
            return context.Response.WriteAsync(exposition.Render());
        });
        try
        {
            await application.StartAsync().ConfigureAwait(false);
        }
        catch
        {
            await application.DisposeAsync().ConfigureAwait(false);
            throw;
        }
        return new MetricsServer(application);
    }

    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _application.StopAsync(limit.Token).ConfigureAwait(false);
        await _application.DisposeAsync().ConfigureAwait(false);
    }
}
