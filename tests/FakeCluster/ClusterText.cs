namespace Keepalive.Testbed;

/// <summary>The JSON of cluster objects.</summary>
internal static class ClusterText
{
    /// <summary>A ConnectionPolicy for every ExternalService.</summary>
    /// <param name="keepalive">The body of tcpKeepalive, in JSON.</param>
    /// <param name="name">Its name.</param>
    public static string Policy(string keepalive, string name = "tcp-keepalive") =>
        $$$$$"""
        {"apiVersion":"resilience.policy.gloo.solo.io/v2","kind":"ConnectionPolicy",
         "metadata":{"name":"{{{{{name}}}}}","namespace":"bookinfo","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"},"generation":1},
         "spec":{"applyToDestinations":[{"kind":"EXTERNAL_SERVICE","selector":{}}],"config":{"tcp":{"tcpKeepalive":{{{{{keepalive}}}}} } } },
         "status":{"common":{"State":{"approval":"ACCEPTED","observedGeneration":"1"}}}}
        """;

    /// <summary>An ExternalService.</summary>
    /// <param name="address">An address, or a CIDR block.</param>
    /// <param name="name">Its name.</param>
    public static string ExternalService(string address, string name = "ratings") =>
        $$$$$"""
        {"apiVersion":"networking.gloo.solo.io/v2","kind":"ExternalService","metadata":{"name":"{{{{{name}}}}}","namespace":"bookinfo"},
         "spec":{"addresses":["{{{{{address}}}}}"]}}
        """;

    /// <summary>A Service with one port.</summary>
    public static string Service(string ns, string name, string clusterIP, int port) =>
        $$$$$"""
        {"apiVersion":"v1","kind":"Service","metadata":{"name":"{{{{{name}}}}}","namespace":"{{{{{ns}}}}}","labels":{"app":"{{{{{name}}}}}"}},
         "spec":{"clusterIP":"{{{{{clusterIP}}}}}","clusterIPs":["{{{{{clusterIP}}}}}"],"type":"ClusterIP","selector":{"app":"{{{{{name}}}}}"},
         "ports":[{"name":"http","protocol":"TCP","port":{{{{{port}}}}},"targetPort":"http"}]},"status":{"loadBalancer":{}}}
        """;

    /// <summary>A running pod with one container.</summary>
    public static string Pod(string ns, string name, string uid, string node, string ip, string container, string containerId, bool leftAlone, bool hostNetwork = false) =>
        $$$$$"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{{{name}}}}}","namespace":"{{{{{ns}}}}}","uid":"{{{{{uid}}}}}",
         "annotations":{"keepalive-agent/enforce":"{{{{{(leftAlone ? "false" : "true")}}}}}"}},
         "spec":{"nodeName":"{{{{{node}}}}}","hostNetwork":{{{{{(hostNetwork ? "true" : "false")}}}}},"containers":[{"name":"{{{{{container}}}}}","image":"x"}]},
         "status":{"phase":"Running","podIP":"{{{{{ip}}}}}","podIPs":[{"ip":"{{{{{ip}}}}}"}],
         "containerStatuses":[{"name":"{{{{{container}}}}}","containerID":"containerd://{{{{{containerId}}}}}","ready":true}]}}
        """;

    /// <summary>The EndpointSlice of a Service with one port.</summary>
    public static string Slice(string ns, string service, int port, params IEnumerable<string> addresses)
    {
        var endpoints = addresses.Select((address, i) =>
            $$$$$"""
            {"addresses":["{{{{{address}}}}}"],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"node-{{{{{i}}}}}",
             "targetRef":{"kind":"Pod","namespace":"{{{{{ns}}}}}","name":"{{{{{service}}}}}-{{{{{i}}}}}","uid":"00000000-0000-0000-0000-{{{{{i:d12}}}}}"},"zone":"a"}
            """);
        return $$$$$"""
            {"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"{{{{{service}}}}}-1","namespace":"{{{{{ns}}}}}",
             "labels":{"kubernetes.io/service-name":"{{{{{service}}}}}","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},
             "addressType":"IPv4","endpoints":[{{{{{string.Join(',', endpoints)}}}}}],"ports":[{"name":"http","protocol":"TCP","port":{{{{{port}}}}} } ] }
            """;
    }
}
