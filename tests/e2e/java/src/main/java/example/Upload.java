package example;

import com.google.protobuf.Timestamp;
import gateway.v1.ChildOuterClass.Child;
import gateway.v1.ChildOuterClass.Guardian;
import gateway.v1.ChildOuterClass.HouseholdCategory;
import gateway.v1.ChildOuterClass.IdentityDocument;
import gateway.v1.ChildOuterClass.RegisterStatus;
import gateway.v1.ChildOuterClass.ResidenceType;
import gateway.v1.ChildOuterClass.Sex;
import gateway.v1.IdentityServiceGrpc;
import gateway.v1.IdentityServiceOuterClass.ChangePasswordRequest;
import gateway.v1.IdentityServiceOuterClass.LoginRequest;
import gateway.v1.IdentityServiceOuterClass.LoginResponse;
import gateway.v1.IdentityServiceOuterClass.LogoutRequest;
import gateway.v1.IdentityServiceOuterClass.PasswordState;
import gateway.v1.Types.Address;
import gateway.v1.Types.Date;
import gateway.v1.UploadServiceGrpc;
import gateway.v1.UploadServiceOuterClass.BatchReceipt;
import gateway.v1.UploadServiceOuterClass.Item;
import gateway.v1.UploadServiceOuterClass.ItemResult;
import gateway.v1.UploadServiceOuterClass.UploadBatchesRequest;
import gateway.v1.UploadServiceOuterClass.UploadBatchesResponse;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneId;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * A city's system, as a stranger writes it: logs in, uploads one batch twice, checks the receipt.
 *
 * <p>Arguments: identity and intake (host:port each), the name in the server's certificate, root
 * certificate, own certificate, own key (PEM files), account name, password file, file with the
 * password to set where the first is a one-time password, unit code, organisation code, file with
 * the log's verification key.
 *
 * <p>A client that lives longer keeps the bytes of every batch, with its receipt, for eight days: a
 * province that was restored from a backup does not have what it acknowledged since, and is sent the
 * same bytes again (docs/integrate.md, "After a restore").
 */
public final class Upload {
  private static final int SECONDS = 30;

  private Upload() {}

  /** Runs the story; any refusal ends it with its status. */
  public static void main(String[] args) throws Exception {
    ChannelCredentials credentials =
        TlsChannelCredentials.newBuilder()
            .trustManager(new File(args[3]))
            .keyManager(new File(args[4]), new File(args[5]))
            .build();
    ManagedChannel identity =
        Grpc.newChannelBuilder(args[0], credentials).overrideAuthority(args[2]).build();
    ManagedChannel intake =
        Grpc.newChannelBuilder(args[1], credentials).overrideAuthority(args[2]).build();
    try {
      String token = login(identity, args[6], secret(args[7]), args[8]);
      UploadBatchesRequest batch = batch(args[9]);
      BatchReceipt first = upload(intake, token, batch);
      String proven =
          Proof.verify(first, batch.toByteArray(), args[10], secret(args[11]));
      BatchReceipt again = upload(intake, token, batch);
      if (!again.getLeaf().equals(first.getLeaf())) {
        throw new IllegalStateException("the same batch got another leaf");
      }
      IdentityServiceGrpc.newBlockingStub(identity)
          .withInterceptors(bearer(token))
          .withDeadlineAfter(SECONDS, TimeUnit.SECONDS)
          .logout(LogoutRequest.getDefaultInstance());
      for (ItemResult item : first.getItemsList()) {
        System.out.println(item.getIndex() + " " + item.getState() + " " + item.getFindingsCount());
      }
      System.out.println("leaf " + first.getLeaf().toStringUtf8());
      System.out.println(proven);
    } finally {
      identity.shutdownNow();
      intake.shutdownNow();
    }
  }

  private static String login(ManagedChannel identity, String account, String password, String next)
      throws IOException {
    IdentityServiceGrpc.IdentityServiceBlockingStub stub =
        IdentityServiceGrpc.newBlockingStub(identity).withDeadlineAfter(SECONDS, TimeUnit.SECONDS);
    LoginResponse answer =
        stub.login(LoginRequest.newBuilder().setAccountName(account).setPassword(password).build());
    if (answer.getPasswordState() != PasswordState.PASSWORD_STATE_MUST_CHANGE) {
      return answer.getAccessToken();
    }
    ChangePasswordRequest change =
        ChangePasswordRequest.newBuilder()
            .setRequestId(UUID.randomUUID().toString())
            .setOldPassword(password)
            .setNewPassword(secret(next))
            .build();
    return stub.withInterceptors(bearer(answer.getAccessToken())).changePassword(change).getAccessToken();
  }

  private static BatchReceipt upload(
      ManagedChannel intake, String token, UploadBatchesRequest batch) throws Exception {
    CompletableFuture<BatchReceipt> receipt = new CompletableFuture<>();
    StreamObserver<UploadBatchesRequest> stream =
        UploadServiceGrpc.newStub(intake)
            .withInterceptors(bearer(token))
            .withDeadlineAfter(SECONDS, TimeUnit.SECONDS)
            .uploadBatches(
                new StreamObserver<>() {
                  @Override
                  public void onNext(UploadBatchesResponse answer) {
                    receipt.complete(answer.getReceipt());
                  }

                  @Override
                  public void onError(Throwable error) {
                    receipt.completeExceptionally(error);
                  }

                  @Override
                  public void onCompleted() {
                    receipt.completeExceptionally(new IllegalStateException("no receipt came"));
                  }
                });
    stream.onNext(batch);
    stream.onCompleted();
    return receipt.get(SECONDS, TimeUnit.SECONDS);
  }

  private static UploadBatchesRequest batch(String unit) {
    String division = unit.substring(0, 6);
    Address home =
        Address.newBuilder().setDivisionCode(division).setDetail("示范路一号院二单元").build();
    LocalDate today = LocalDate.now(ZoneId.of("Asia/Shanghai"));
    Child child =
        Child.newBuilder()
            .setChildCode(unit + today.getYear() + "0001")
            .setName("样例")
            .setSex(Sex.SEX_FEMALE)
            .setBirthDate(date(today.minusDays(10)))
            .setDocument(IdentityDocument.IDENTITY_DOCUMENT_NOT_YET_OBTAINED)
            .addGuardians(
                Guardian.newBuilder()
                    .setRelation(Guardian.Relation.RELATION_MOTHER)
                    .setName("样例母")
                    .setPhone("13900000000"))
            .setHousehold(home)
            .setResidence(home)
            .setHouseholdCategory(HouseholdCategory.HOUSEHOLD_CATEGORY_THIS_COUNTY)
            .setResidenceType(ResidenceType.RESIDENCE_TYPE_LOCAL)
            .setStatus(RegisterStatus.REGISTER_STATUS_ACTIVE)
            .setFileUnitCode(unit)
            .setFiledDate(date(today))
            .build();
    Instant now = Instant.now();
    return UploadBatchesRequest.newBuilder()
        .setRequestId(UUID.randomUUID().toString())
        .setUnitCode(unit)
        .setSequence(1)
        .setSchemaVersion("2026-1")
        .setClientVersion("java-example/1")
        .setMadeTime(Timestamp.newBuilder().setSeconds(now.getEpochSecond()))
        .setLane(UploadBatchesRequest.Lane.LANE_LIVE)
        .addItems(Item.newBuilder().setChild(child))
        .build();
  }

  private static Date date(LocalDate day) {
    return Date.newBuilder()
        .setYear(day.getYear())
        .setMonth(day.getMonthValue())
        .setDay(day.getDayOfMonth())
        .build();
  }

  private static ClientInterceptor bearer(String token) {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  private static String secret(String file) throws IOException {
    return Files.readString(Path.of(file), StandardCharsets.UTF_8).strip();
  }
}
