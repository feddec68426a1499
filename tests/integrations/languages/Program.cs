using System;

Console.WriteLine(await PostRunner.Work("{\"from\":\"dotnet\"}") ? "true" : "false");
var read = new TaskCompletionSource();
await PostRunner.WaitUntil("named", () =>
{
    var line = Console.ReadLine();
    read.SetResult();
    return line == "fail" ? throw new DivideByZeroException("by zero") : Task.CompletedTask;
});
Console.WriteLine("begun");
await read.Task;
Console.ReadLine();
