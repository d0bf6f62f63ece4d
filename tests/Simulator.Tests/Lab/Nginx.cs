namespace Keepalive.Simulator.Tests.Lab;

/// <summary>Debian's nginx, with all of its files in a directory of the test.</summary>
internal static class Nginx
{
    /// <summary>Writes a configuration.</summary>
    /// <param name="directory">The directory for its files.</param>
    /// <param name="http">The content of <c>http { }</c>.</param>
    /// <param name="isDaemon">Whether it runs in the background, as by default.</param>
    /// <returns>The command line for sh(1).</returns>
    public static string Command(string directory, string http, bool isDaemon = false)
    {
        Directory.CreateDirectory(directory);
        var configuration = Path.Combine(directory, "nginx.conf");
        // A user namespace has only root.
        File.WriteAllText(configuration, $$"""
            user root root;
            {{(isDaemon ? "" : "daemon off; master_process off;")}}
            pid {{directory}}/nginx.pid;
            error_log {{directory}}/error.log crit;
            events { worker_connections 64; }
            http {
              access_log off;
              client_body_temp_path {{directory}}/body;
              proxy_temp_path {{directory}}/proxy;
              fastcgi_temp_path {{directory}}/fastcgi;
              uwsgi_temp_path {{directory}}/uwsgi;
              scgi_temp_path {{directory}}/scgi;
            {{http}}
            }

            """);
        return $"nginx -p '{directory}' -e '{directory}/error.log' -c '{configuration}'";
    }

    /// <summary>A server that answers every request with a line and keeps its connections open.</summary>
    public static string Server(string directory, string answer, bool isDaemon = false) => Command(
        directory, $$"""server { listen 80; listen [::]:80; keepalive_timeout 60s; location / { return 200 "{{answer}}\n"; } }""", isDaemon);
}
