"""Layers in every region, published against moto's AWS: for everybody, with their parameters, once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.release import layers as publishing
from aws_lambda_post_runner.release.__main__ import main
from aws_lambda_post_runner.release.artefacts import Release, read_release
from aws_lambda_post_runner.release.layers import Signing
from aws_lambda_post_runner.release.regions import Partition, place_of, places
from tests.made_artefacts import PRODUCT

REGION = "eu-north-1"
PLACES = places(list(Partition))


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An AWS in this process, and no credentials of anybody."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("MOTO_LAMBDA_STUB_ECR", "true")
    with mock_aws():
        yield


def policy_of(client: Any, name: str) -> Any:
    return json.loads(client.get_layer_version_policy(LayerName=name, VersionNumber=1)["Policy"])


def test_in_each_region_both_layers_are_there_for_everybody_and_their_arns_are_parameters(
    built: Path,
) -> None:
    session, release = boto3.Session(), read_release(built)
    for place in PLACES:
        assert len(list(publishing.publish(session, release, place, None))) == 2
        store, client = session.client("ssm", place.region), session.client("lambda", place.region)
        for processor in ("x86_64", "arm64"):
            name = f"{PRODUCT}-{processor}"
            [version] = client.list_layer_versions(LayerName=name)["LayerVersions"]
            assert version["CompatibleArchitectures"] == [processor]
            assert f":{place.region}:" in version["LayerVersionArn"]
            [statement] = policy_of(client, name)["Statement"]
            assert (statement["Effect"], statement["Principal"]) == ("Allow", "*")
            for parameter in (f"/post-runner/{__version__}/{processor}", f"/post-runner/latest/{processor}"):
                assert store.get_parameter(Name=parameter)["Parameter"]["Value"] == version["LayerVersionArn"]


def test_a_second_run_publishes_nothing_again_and_finishes_what_the_first_left(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    main(["layers", str(built), "--region", REGION, "--out", str(outs[0])])
    client, store = boto3.client("lambda", REGION), boto3.client("ssm", REGION)
    name = f"{PRODUCT}-arm64"
    client.remove_layer_version_permission(LayerName=name, VersionNumber=1, StatementId="everybody")
    store.delete_parameter(Name="/post-runner/latest/arm64")
    capsys.readouterr()

    assert main(["layers", str(built), "--region", REGION, "--out", str(outs[1])]) == 0

    assert capsys.readouterr().out.count("was there") == 2
    assert len(client.list_layer_versions(LayerName=name)["LayerVersions"]) == 1
    assert policy_of(client, name)["Statement"]
    assert store.get_parameter(Name="/post-runner/latest/arm64")
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_version_for_trying_out_does_not_become_the_latest(built: Path) -> None:
    release = read_release(built)
    for version, is_final in (("1.0.0", True), ("1.0.0rc1", False), ("1.0.0.dev3", False)):
        other = Release(
            release.folder, version, release.commit, release.layers, release.executables, release.python, ()
        )
        names = publishing.parameters_of(release.layers[0], other)
        assert ("/post-runner/latest/x86_64" in names) is is_final


class SessionWithStubs:
    """A session whose clients answer what a test says they do: moto knows no signing job."""

    def __init__(self, **clients: Any) -> None:
        self._clients = clients

    def client(self, name: str, region: str) -> Any:
        assert region == REGION
        return self._clients[name]


def test_a_signed_layer_is_taken_from_where_aws_signer_has_put_it(built: Path) -> None:
    layer = read_release(built).layers[0]
    digest = layer.content.sha256
    storage, signer = boto3.client("s3", REGION), boto3.client("signer", REGION)
    bucket, key = f"ours-{REGION}", f"{PRODUCT}/{digest}.zip"
    signed = {"bucketName": bucket, "key": f"{PRODUCT}/signed-1.zip"}
    done = {"status": "Succeeded", "signedObject": {"s3": signed}}
    with Stubber(storage) as stored, Stubber(signer) as asked:
        body = {"Bucket": bucket, "Key": key, "Body": layer.path.read_bytes()}
        stored.add_response("put_object", {"VersionId": "v1"}, body)
        asked.add_response(
            "start_signing_job",
            {"jobId": "job"},
            {
                "source": {"s3": {"bucketName": bucket, "key": key, "version": "v1"}},
                "destination": {"s3": {"bucketName": bucket, "prefix": f"{PRODUCT}/signed-"}},
                "profileName": "ours",
                "clientRequestToken": digest,
            },
        )
        asked.add_response("describe_signing_job", done, {"jobId": "job"})  # the waiter
        asked.add_response("describe_signing_job", done, {"jobId": "job"})
        session: Any = SessionWithStubs(s3=storage, signer=signer)
        content = publishing._signed(session, layer, place_of(REGION), Signing("ours", "ours-{region}"))
        stored.assert_no_pending_responses()
        asked.assert_no_pending_responses()
    assert content == {"S3Bucket": bucket, "S3Key": f"{PRODUCT}/signed-1.zip"}


def test_the_plan_names_all_that_would_be_published_and_where_and_asks_nobody(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--repository",
        "https://github.com/Somebody/ours",
        "--govcloud",
        "--china",
        "--without",
        "me-south-1",
    ]
    main(["prepare", str(built)])
    capsys.readouterr()

    assert (
        main(["plan", str(built), *options, "--signing-profile", "p", "--signing-bucket", "b-{region}"]) == 0
    )

    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("would publish: ") for line in lines)
    for region in {place.region for place in PLACES} - {"me-south-1"}:
        assert sum(f" {region}: layer " in line for line in lines) == 4
        assert sum(f" {region}: parameter /post-runner/" in line for line in lines) == 4
    assert not [line for line in lines if "me-south-1" in line]
    assert sum("s3://b-eu-north-1" in line for line in lines) == 2
    assert sum(line.startswith("would publish: PyPI: ") for line in lines) == 2
    assert sum(line.startswith("would publish: npm: ") for line in lines) == 1
    assert (
        sum(
            line.startswith(f"would publish: ghcr.io/somebody/ours ({__version__}, latest)") for line in lines
        )
        == 2
    )
    with pytest.raises(boto3.client("lambda", REGION).exceptions.ResourceNotFoundException):
        boto3.client("lambda", REGION).get_layer_version(LayerName=f"{PRODUCT}-x86_64", VersionNumber=1)


def test_the_matrix_has_a_job_for_each_region_with_the_role_and_the_audience_of_its_partition(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["regions"])
    usual = json.loads(capsys.readouterr().out)["include"]
    main(["regions", "--govcloud", "--china"])
    everywhere = {job["region"]: job for job in json.loads(capsys.readouterr().out)["include"]}
    assert {job["role"] for job in usual} == {"AWS_ROLE"}
    assert everywhere["us-gov-west-1"]["role"] == "AWS_GOVCLOUD_ROLE"
    assert everywhere["cn-north-1"] == {
        "region": "cn-north-1",
        "role": "AWS_CHINA_ROLE",
        "audience": "sts.amazonaws.com.cn",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["regions", "--without", "eu-nroth-1"], "no region 'eu-nroth-1' to leave out"),
        (["layers", "{built}", "--region", "eu-nroth-1"], "no region 'eu-nroth-1' of Lambda"),
        (["plan", "{built}", "--signing-profile", "p"], "needs both --signing-profile and --signing-bucket"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(
    arguments: list[str], said: str, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(built=built) for word in arguments]) == 1
    assert said in capsys.readouterr().err


def test_a_region_that_the_account_has_not_enabled_is_named_with_what_to_do() -> None:
    client = boto3.client("lambda", REGION)
    with Stubber(client) as refusing:
        refusing.add_client_error(
            "list_layers", "UnrecognizedClientException", "The security token is invalid."
        )
        with pytest.raises(client.exceptions.ClientError) as raised:
            client.list_layers()
    assert "leave it out with --without me-south-1" in publishing.told(raised.value, "me-south-1")
