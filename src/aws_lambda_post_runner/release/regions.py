"""Where layers are published: the regions that AWS's own library knows, and how to get into each."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

import boto3

from .artefacts import ReleaseError


class Partition(Enum):
    """The parts of AWS that share nothing: each needs an account and a role of its own."""

    AWS = "aws"
    GOVCLOUD = "aws-us-gov"
    CHINA = "aws-cn"


@dataclass(frozen=True)
class Place:
    """A region, and how the workflow gets in."""

    region: str
    partition: Partition

    @property
    def role_variable(self) -> str:
        """The workflow's variable that has the ARN of the role to take."""
        return {
            Partition.AWS: "AWS_ROLE",
            Partition.GOVCLOUD: "AWS_GOVCLOUD_ROLE",
            Partition.CHINA: "AWS_CHINA_ROLE",
        }[self.partition]

    @property
    def audience(self) -> str:
        """Whom the token that GitHub makes is for."""
        return "sts.amazonaws.com.cn" if self.partition is Partition.CHINA else "sts.amazonaws.com"

    @property
    def can_sign(self) -> bool:
        """Tell whether AWS Signer is there."""
        return self.region in _regions_of("signer", self.partition)


def places(partitions: Sequence[Partition], without: Sequence[str] = ()) -> list[Place]:
    """Return all regions of some partitions, but for some. Raises ReleaseError for one that none of them has.

    Regions that an account has to ask for first are among them: they are left out by name, or asked for.
    """
    found = [
        Place(region, partition) for partition in partitions for region in _regions_of("lambda", partition)
    ]
    unknown = sorted(set(without) - {place.region for place in found})
    if unknown:
        raise ReleaseError(
            f"there is no region {unknown[0]!r} to leave out of {', '.join(_names(partitions))}"
        )
    return [place for place in found if place.region not in without]


def place_of(region: str) -> Place:
    """Return a region by its name. Raises ReleaseError if Lambda has none of that name."""
    for place in places(list(Partition)):
        if place.region == region:
            return place
    raise ReleaseError(f"there is no region {region!r} of Lambda; `regions` lists them")


def matrix(chosen: Sequence[Place]) -> dict[str, list[dict[str, str]]]:
    """Return the workflow's matrix: one job for each region."""
    return {
        "include": [
            {"region": place.region, "role": place.role_variable, "audience": place.audience}
            for place in chosen
        ]
    }


@cache
def _regions_of(service: str, partition: Partition) -> tuple[str, ...]:
    """Return where a service is; remembered, for the library reads half a megabyte to tell."""
    return tuple(boto3.Session().get_available_regions(service, partition.value))


def _names(partitions: Sequence[Partition]) -> list[str]:
    return [partition.value for partition in partitions]
