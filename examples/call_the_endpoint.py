"""Call a running endpoint: personalise a question, answer it, explain the answer, rate it.

Start an endpoint with ``pmlm up`` or ``pmlm serve``; ``pmlm token`` prints a token. Shown are the sentences that the
refiner chose for this question with their sources, the answer of the clinic's language model, what the refiner left
out and moved, the receipt of a rating, and how a refusal looks.
"""

from __future__ import annotations

import argparse

from pmlm import Client
from pmlm.errors import EndpointError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="where the endpoint listens")
    parser.add_argument("--token", required=True, help="a bearer token for it")
    parser.add_argument("--patient", required=True, help="Patient/<id>, urn:uuid:<id>, <id> or subject:<number>")
    parser.add_argument("--question", default="Is it normal to feel this tired?")
    options = parser.parse_args()

    with Client(options.url, options.token) as pmlm:
        made = pmlm.personalize(options.patient, options.question)
        print(f"Refiner {made.versions.refiner} chose:")
        for segment in made.segments:
            if segment.kept and not segment.pinned:
                print(f"  {segment.text}  (sources: {', '.join(segment.sources)})")
        print(f"\nThe prompt:\n{made.prompt}\n")

        answer = pmlm.answer(options.patient, options.question)
        for flag in answer.red_flags:
            print(f"Red flag {flag.sign}, {flag.label}: {flag.why}")
        print(f"{answer.llm.model} answers: {answer.answer}\n")

        why = pmlm.explain(answer.id)
        print(f"Left out: {', '.join(why.dropped) or 'nothing'}; moved: {len(why.moved)} sentences")
        print(f"Rating counts: {pmlm.feedback(answer.id, rating=5, comment='Clear and friendly.').counts}")
        try:
            pmlm.answer("Patient/nobody", options.question)
        except EndpointError as error:
            print(f"An unknown patient is refused: {error}")


if __name__ == "__main__":
    main()
