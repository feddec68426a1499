"""Publishes the layers in one region: signed if wanted, for everybody, with their ARNs as parameters.

Each step may be repeated: what an interrupted run has published is found by its description and finished.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from aws_lambda_post_runner.dev.artefact import PRODUCT

from .artefacts import Layer, Release, ReleaseError
from .regions import Place

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient
    from types_boto3_lambda.type_defs import LayerVersionContentInputTypeDef
    from types_boto3_signer.type_defs import WaiterConfigTypeDef

PARAMETERS = "/post-runner"
"""Where the ARNs are. Names that begin with /aws are AWS's own: it refuses them."""
EVERYBODY = "*"
STATEMENT = "everybody"
SIGNING_POLLS: "WaiterConfigTypeDef" = {"Delay": 5, "MaxAttempts": 60}
"""A signature takes seconds; after five minutes something is wrong."""


@dataclass(frozen=True)
class Signing:
    """How layers are signed: a profile of AWS Signer, and a bucket with versions in the same region."""

    profile: str
    bucket: str
    """`{region}` in it is replaced, since buckets belong to one region."""

    def bucket_in(self, place: Place) -> str:
        """Return the bucket of a region."""
        return self.bucket.replace("{region}", place.region)


@dataclass(frozen=True)
class Published:
    """A layer in a region."""

    region: str
    processor: str
    arn: str
    sha256: str
    """Of the zip that was built, not of the signed one."""
    parameters: tuple[str, ...]
    was_there: bool

    def as_object(self) -> dict[str, Any]:
        """Return what is told of it in the release's list of layers: nothing of how often we tried."""
        told = asdict(self)
        del told["was_there"]
        return told


def description_of(layer: Layer, release: Release) -> str:
    """Return what the layer's version says of itself in Lambda. It names the zip, so a second run finds it."""
    return f"{release.version}, commit {release.commit}, sha256 {layer.content.sha256}"


def parameters_of(layer: Layer, release: Release) -> tuple[str, ...]:
    """Return the names of the parameters that get the ARN; only a final version becomes the latest."""
    names = [f"{PARAMETERS}/{release.version}/{layer.content.processor}"]
    if release.is_final:
        names.append(f"{PARAMETERS}/latest/{layer.content.processor}")
    return tuple(names)


def plan(release: Release, place: Place, signing: Signing | None) -> Iterator[str]:
    """Tell what `publish` would do in a region, a line for each step, without asking AWS anything."""
    for layer in release.layers:
        if signing is not None and place.can_sign:
            yield (
                f"{place.region}: sign {layer.path.name} with the profile {signing.profile}, by way of "
                f"s3://{signing.bucket_in(place)}"
            )
        elif signing is not None:
            yield f"{place.region}: {layer.path.name} stays without a signature: AWS Signer is not there"
        yield f"{place.region}: layer {layer.name} from {layer.path.name} ({description_of(layer, release)})"
        yield f"{place.region}: layer {layer.name} may be used by everybody"
        for name in parameters_of(layer, release):
            yield f"{place.region}: parameter {name} = its ARN"


def publish(
    session: boto3.Session, release: Release, place: Place, signing: Signing | None
) -> Iterator[Published]:
    """Publish each layer in a region. Raises botocore's errors, and ReleaseError where a signature fails."""
    client = session.client("lambda", place.region)
    store = session.client("ssm", place.region)
    for layer in release.layers:
        arn = _published_before(client, layer, release)
        was_there = arn is not None
        if arn is None:
            content: LayerVersionContentInputTypeDef = (
                _signed(session, layer, place, signing)
                if signing is not None and place.can_sign
                else {"ZipFile": layer.path.read_bytes()}
            )
            arn = client.publish_layer_version(
                LayerName=layer.name,
                Description=description_of(layer, release),
                Content=content,
                CompatibleArchitectures=[_architecture(layer)],
                LicenseInfo="MIT-0",
            )["LayerVersionArn"]
        _open_to_everybody(client, layer, int(arn.rpartition(":")[2]))
        names = parameters_of(layer, release)
        for name in names:
            store.put_parameter(Name=name, Value=arn, Type="String", Overwrite=True)
        yield Published(place.region, layer.content.processor, arn, layer.content.sha256, names, was_there)


def _architecture(layer: Layer) -> Any:
    """Return the processor as Lambda's client is typed: as a literal, which `read_release` has seen to."""
    return layer.content.processor


def _published_before(client: "LambdaClient", layer: Layer, release: Release) -> str | None:
    """Return the ARN of the version that has this zip, if there is one."""
    wanted = description_of(layer, release)
    try:
        for page in client.get_paginator("list_layer_versions").paginate(LayerName=layer.name):
            for version in page["LayerVersions"]:
                if version.get("Description") == wanted:
                    return version["LayerVersionArn"]
    except client.exceptions.ResourceNotFoundException:
        return None  # the first version of all
    return None


def _open_to_everybody(client: "LambdaClient", layer: Layer, version: int) -> None:
    try:
        client.add_layer_version_permission(
            LayerName=layer.name,
            VersionNumber=version,
            StatementId=STATEMENT,
            Action="lambda:GetLayerVersion",
            Principal=EVERYBODY,
        )
    except client.exceptions.ResourceConflictException:
        return  # it is open: an earlier run came as far


def _signed(
    session: boto3.Session, layer: Layer, place: Place, signing: Signing
) -> "LayerVersionContentInputTypeDef":
    """Have AWS Signer sign a zip; return where the signed one is."""
    bucket = signing.bucket_in(place)
    key = f"{PRODUCT}/{layer.content.sha256}.zip"
    stored = session.client("s3", place.region).put_object(
        Bucket=bucket, Key=key, Body=layer.path.read_bytes()
    )
    version = stored.get("VersionId")
    if not version:
        raise ReleaseError(f"the bucket {bucket} keeps no versions, which AWS Signer asks for")
    signer = session.client("signer", place.region)
    job = signer.start_signing_job(
        source={"s3": {"bucketName": bucket, "key": key, "version": version}},
        destination={"s3": {"bucketName": bucket, "prefix": f"{PRODUCT}/signed-"}},
        profileName=signing.profile,
        clientRequestToken=layer.content.sha256,
    )["jobId"]
    signer.get_waiter("successful_signing_job").wait(jobId=job, WaiterConfig=SIGNING_POLLS)
    signed = signer.describe_signing_job(jobId=job)["signedObject"]["s3"]
    return {"S3Bucket": signed["bucketName"], "S3Key": signed["key"]}


def told(problem: ClientError, region: str) -> str:
    """Return one line on an error of AWS, with what is to be done about the one that is met most."""
    code = problem.response["Error"]["Code"]
    hint = ""
    if code in {"UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure"}:
        hint = f"; if the account has not enabled {region}, enable it or leave it out with --without {region}"
    return f"{region}: {problem}{hint}"


def write_lines(path: Path, published: list[Published]) -> None:
    """Write what was published where, a JSON object a line, for the release's list of layers."""
    path.write_text("".join(json.dumps(each.as_object()) + "\n" for each in published), encoding="utf-8")
