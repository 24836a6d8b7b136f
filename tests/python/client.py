"""Lodges a batch twice and reads the declarant's summary, as a platform's own program would."""

import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from waag.v1 import compliance_pb2, compliance_pb2_grpc, declaration_pb2, lodgement_pb2, lodgement_pb2_grpc

D = declaration_pb2


def declaration(lrn, hundredths=3999):
    return D.Declaration(
        lrn=lrn,
        additional_declaration_type="A",
        goods_items=[
            D.GoodsItem(
                goods_item_number=1,
                hs6="851830",
                description="Wireless in-ear headphones with charging case",
                intrinsic_value=D.Money(currency="EUR", hundredths=hundredths),
                gross_mass_mg=180_000,
                packages=1,
                additional_procedures=["F53"],
                product=D.ProductIdentifiers(merchant="SKU-00001", manufacturer="NA"),
            )
        ],
        exporter=D.Party(name="Lotusbay Trading Ltd", city="Shenzhen", country="CN"),
        importer=D.Party(name="J. Voorbeeld", street="Dorpsweg 12", city="Deventer", country="NL"),
        transport_document=D.DocumentReference(type="N740", reference="074-12345675"),
        previous_documents=[D.DocumentReference(type="N337", reference="25NLTSD000000421U7")],
        transport_costs=D.Money(currency="EUR", hundredths=450),
        location_of_goods=D.LocationOfGoods(type="B", qualifier="Y", identification="NLTSTTST0001"),
    )


def main(address):
    channel = grpc.insecure_channel(address)
    lodgement = lodgement_pb2_grpc.LodgementStub(channel)
    compliance = compliance_pb2_grpc.ComplianceStub(channel)
    batch = lodgement_pb2.SubmitBatchRequest(
        batch_id="python",
        declarant="NL810000003",
        declarations=[declaration("PY-1"), declaration("PY-2", 15_001)],
    )

    first = lodgement.SubmitBatch(batch)
    accepted, rejected = first.verdicts
    assert accepted.outcome == lodgement_pb2.OUTCOME_ACCEPTED and len(accepted.mrn) == 18, accepted
    assert rejected.outcome == lodgement_pb2.OUTCOME_REJECTED, rejected
    assert rejected.findings[0].reason == "INTRINSIC_VALUE_EXCEEDS_THRESHOLD", rejected
    assert "150.01" in rejected.findings[0].message, rejected

    again = list(lodgement.SubmitBatches(iter([batch, batch])))
    for item in again:
        assert item.answer.verdicts[0].outcome == lodgement_pb2.OUTCOME_REPLAYED, item
        assert item.answer.verdicts[0].mrn == accepted.mrn, item

    summary = compliance.GetActorSummary(
        compliance_pb2.GetActorSummaryRequest(
            actor=compliance_pb2.Actor(
                role=compliance_pb2.ACTOR_ROLE_DECLARANT, id="NL810000003"
            ),
            at_least_watermark=again[-1].answer.watermark,
        )
    ).summary
    counts = (summary.accepted, summary.rejected, summary.replayed, summary.conflicts)
    assert counts == (1, 1, 4, 0), summary
    assert summary.intrinsic_value_eur_cents == 3999 and summary.duty_eur_cents == 300, summary

    try:
        lodgement.SubmitBatch(lodgement_pb2.SubmitBatchRequest(declarant="nobody"))
        raise AssertionError("a batch without a declarant was taken")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        detail = error_details_pb2.BadRequest()
        status = rpc_status.from_call(error)
        assert any(d.Unpack(detail) for d in status.details), status
        assert detail.field_violations[0].field == "declarations", detail
    print(f"python client: {accepted.mrn} lodged, replayed twice, summary {counts}")


if __name__ == "__main__":
    main(sys.argv[1])
