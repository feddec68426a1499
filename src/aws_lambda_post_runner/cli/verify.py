"""`verify`: its options, and what it exits with."""

import json as json_format
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from aws_lambda_post_runner.dev.artefact import Artefact, NotOursError, read_artefact, read_checksums

from .options import SWITCH
from .output import console

LATER = (
    "This is what the file says of itself. That it is the one that was published is known from its checksum: "
)
HOW = "give --checksums SHA256SUMS, which every release has, or ask `gh attestation verify`."


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A layer's zip, or an executable.")],
    *,
    checksums: Annotated[
        Path | None,
        typer.Option(metavar="SHA256SUMS", help="The release's list of checksums, to look the file up in."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", metavar=SWITCH, help="Print all of it as JSON.")] = False,
) -> None:
    """Say whether a file is one of ours, and what is in it. It is read, never run.

    Exits with 1 if it is not one of ours, not whole, or not in the list.

    Example: aws-lambda-post-runner verify aws-lambda-post-runner-0.2.0-x86_64.zip --checksums SHA256SUMS
    """
    try:
        found = read_artefact(file)
        names = read_checksums(checksums.read_text(encoding="utf-8")) if checksums is not None else None
    except NotOursError as problem:
        typer.echo(f"{file} is not one of ours: {problem}", err=True)
        raise typer.Exit(1) from None
    except OSError as problem:
        typer.echo(f"{problem.filename}: {problem.strerror}", err=True)
        raise typer.Exit(1) from None
    except ValueError as problem:
        typer.echo(f"{checksums}: {problem}", err=True)
        raise typer.Exit(1) from None
    problems = [*found.problems, *_not_listed(found, names, checksums)]
    if json:
        listed = None if names is None else names.get(found.sha256, "")
        typer.echo(json_format.dumps({**asdict(found), "problems": problems, "listed_as": listed}, indent=2))
    else:
        _print(file, found, names, problems)
    raise typer.Exit(1 if problems else 0)


def _not_listed(found: Artefact, names: Mapping[str, str] | None, checksums: Path | None) -> list[str]:
    """Say that a checksum is not in the list; the file's own name does not matter, for anybody can give it."""
    if names is None or found.sha256 in names:
        return []
    return [
        f"its checksum is not in {checksums}: it is not the file that was published, or not of that release"
    ]


def _print(file: Path, found: Artefact, names: Mapping[str, str] | None, problems: list[str]) -> None:
    out = console()
    what = "a layer" if found.kind == "layer" else "an executable"
    out.print(f"{file}: {what} of aws-lambda-post-runner", style="bold", markup=False, soft_wrap=True)
    rows = {
        "version": found.version or "not told by an executable; its checksum tells",
        "commit": found.commit,
        "processor": found.processor,
        "starts from": f"the snapshot {found.snapshot}" if found.snapshot else "no snapshot",
        "signature": "AWS Signer's, which Lambda checks" if found.signed else "none in the file",
        "size": f"{found.size:,} bytes",
        "sha256": found.sha256,
    }
    for name, value in rows.items():
        out.print(f"  {name:12} {value}", markup=False, soft_wrap=True)
    for part in found.parts:
        out.print(f"  brings       {part.name} {part.version} ({part.licence})", markup=False, soft_wrap=True)
    if found.contents:
        out.print(
            f"  files        {len(found.contents)}; --json lists them with their checksums", markup=False
        )
    for problem in problems:
        out.print(f"✗ {problem}", style="red", markup=False, soft_wrap=True)
    if names is None:
        out.print(f"{LATER}{HOW}", markup=False, soft_wrap=True)
    elif found.sha256 in names:
        out.print(f"✓ it is {names[found.sha256]} of the list", style="green", markup=False, soft_wrap=True)
