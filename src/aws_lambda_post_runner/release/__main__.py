"""`python -m aws_lambda_post_runner.release`: the steps of a release, as the workflow takes them."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from .artefacts import CHECKSUMS, Release, ReleaseError, check_commit, check_tag, read_release
from .layers import Signing, plan, publish, told, write_lines
from .prepare import differences, prepare
from .regions import Partition, Place, matrix, place_of, places

SWITCHES = {"govcloud": Partition.GOVCLOUD, "china": Partition.CHINA}


def main(arguments: Sequence[str] | None = None) -> int:
    """Take one step; return the status to exit with."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.step(chosen) or 0)
    except (ReleaseError, BotoCoreError, OSError) as problem:
        print(f"release: {problem}", file=sys.stderr)
    except ClientError as problem:
        print(f"release: {told(problem, getattr(chosen, 'region', 'AWS'))}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aws_lambda_post_runner.release", description=__doc__)
    steps = parser.add_subparsers(required=True, metavar="STEP")

    tag = steps.add_parser("tag", help="see that a tag of git is this version's")
    tag.add_argument("tag")
    tag.set_defaults(step=_tag)

    made = steps.add_parser(
        "prepare", help="add checksums, bills of materials and the rest to what was built"
    )
    made.add_argument("folder", type=Path)
    made.add_argument("--commit", help="what it has to be built from")
    _add_names(made)
    made.set_defaults(step=_prepare)

    compared = steps.add_parser("compare", help="see that two builds have the same bytes")
    compared.add_argument("folders", type=Path, nargs=2)
    compared.set_defaults(step=_compare)

    listed = steps.add_parser("regions", help="print the matrix of regions for the workflow")
    _add_partitions(listed)
    listed.set_defaults(step=_regions)

    planned = steps.add_parser("plan", help="tell what would be published where, and publish nothing")
    planned.add_argument("folder", type=Path)
    _add_partitions(planned)
    _add_names(planned)
    _add_signing(planned)
    planned.set_defaults(step=_plan)

    layers = steps.add_parser(
        "layers", help="publish the layers in one region, which credentials are there for"
    )
    layers.add_argument("folder", type=Path)
    layers.add_argument("--region", required=True)
    layers.add_argument("--out", type=Path, help="file for what was published, a JSON object a line")
    _add_signing(layers)
    layers.set_defaults(step=_layers)
    return parser


def _add_partitions(parser: argparse.ArgumentParser) -> None:
    for name, partition in SWITCHES.items():
        parser.add_argument(f"--{name}", action="store_true", help=f"with the regions of {partition.value}")
    parser.add_argument("--without", default="", metavar="REGION,…", help="regions to leave out")


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", default="https://github.com/OWNER/REPOSITORY", help="its address")


def _add_signing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--signing-profile", default="", help="a profile of AWS Signer; none: no signature")
    parser.add_argument(
        "--signing-bucket", default="", help="a bucket with versions; {region} in it is replaced"
    )


def _tag(chosen: argparse.Namespace) -> None:
    check_tag(chosen.tag)


def _prepare(chosen: argparse.Namespace) -> None:
    release = read_release(chosen.folder)
    if chosen.commit:
        check_commit(release, chosen.commit)
    for path in prepare(release, chosen.repository):
        print(path)


def _compare(chosen: argparse.Namespace) -> int:
    found = differences(*chosen.folders)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{chosen.folders[0]} and {chosen.folders[1]} have the same bytes")
    return 1 if found else 0


def _regions(chosen: argparse.Namespace) -> None:
    print(json.dumps(matrix(_places(chosen))))


def _plan(chosen: argparse.Namespace) -> None:
    for line in _lines(read_release(chosen.folder), _places(chosen), _signing(chosen), chosen.repository):
        print(f"would publish: {line}")


def _layers(chosen: argparse.Namespace) -> None:
    release, place = read_release(chosen.folder), place_of(chosen.region)
    published = []
    for each in publish(boto3.Session(), release, place, _signing(chosen)):
        how = "was there" if each.was_there else "published"
        print(f"{each.region}: {each.arn} {how}, for everybody; {', '.join(each.parameters)}", flush=True)
        published.append(each)
    if chosen.out:
        write_lines(chosen.out, published)


def _places(chosen: argparse.Namespace) -> list[Place]:
    partitions = [Partition.AWS, *(each for name, each in SWITCHES.items() if getattr(chosen, name))]
    return places(partitions, [name for name in chosen.without.split(",") if name])


def _signing(chosen: argparse.Namespace) -> Signing | None:
    if bool(chosen.signing_profile) != bool(chosen.signing_bucket):
        raise ReleaseError("a signature needs both --signing-profile and --signing-bucket")
    return Signing(chosen.signing_profile, chosen.signing_bucket) if chosen.signing_profile else None


def _lines(
    release: Release, where: Sequence[Place], signing: Signing | None, repository: str
) -> Iterator[str]:
    """Tell all that the workflow publishes, in its order."""
    image = "ghcr.io/" + repository.removeprefix("https://github.com/").lower()
    tags = [release.version, *(["latest"] if release.is_final else [])]
    yield from (f"PyPI: {path.name}" for path in release.python)
    yield from (f"npm: {path.name}" for path in release.npm)
    for place in where:
        yield from plan(release, place, signing)
    for path in release.executables:
        yield f"{image} ({', '.join(tags)}): {path.name}"
    yield from (f"release v{release.version}: {path.name}" for path in release.built)
    yield from (f"release v{release.version}: {path.name}" for path in sorted(release.folder.glob("*.json")))
    yield f"release v{release.version}: {CHECKSUMS}"


if __name__ == "__main__":
    sys.exit(main())
