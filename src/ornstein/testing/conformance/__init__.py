r"""What every implementation of a contract must do, as plain functions that raise AssertionError and say what is wrong.

A process, parametrisation, sampler, codec or recipe of your own is tested by one line each::

    check_process(MyProcess(), x_0)
    check_parametrization(MyParametrization(), VP())
    check_sampler(MySampler, [VP(), FlowMatching()])
    check_codec(MyCodec(), x)
    check_recipe("my-recipe", {"steps": 2, "batch": 4})

``process_checks``, ``parametrization_checks`` and ``sampler_checks`` give the single checks, for one test case each.
"""

from ornstein.testing.conformance.codec import check_codec as check_codec
from ornstein.testing.conformance.parametrization import check_parametrization as check_parametrization
from ornstein.testing.conformance.parametrization import check_unit_variances as check_unit_variances
from ornstein.testing.conformance.parametrization import parametrization_checks as parametrization_checks
from ornstein.testing.conformance.process import check_process as check_process
from ornstein.testing.conformance.process import process_checks as process_checks
from ornstein.testing.conformance.recipe import check_recipe as check_recipe
from ornstein.testing.conformance.sampler import check_sampler as check_sampler
from ornstein.testing.conformance.sampler import sampler_checks as sampler_checks
