package invalid.gateway.stranger;

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
import gateway.v1.IdentityServiceOuterClass.PasswordState;
import gateway.v1.Types.Address;
import gateway.v1.Types.Date;
import gateway.v1.UploadServiceGrpc;
import gateway.v1.UploadServiceOuterClass.BatchReceipt;
import gateway.v1.UploadServiceOuterClass.Item;
import gateway.v1.UploadServiceOuterClass.ItemResult;
import gateway.v1.UploadServiceOuterClass.UploadBatchesRequest;
import gateway.v1.UploadServiceOuterClass.UploadBatchesResponse;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContext;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Logs in and uploads one batch, knowing nothing but the .proto files, a certificate and a password.
 *
 * <p>Arguments: folder (root.pem, certificate.pem, key.pem, log.vkey, password, new-password), host, server name,
 * identity port, intake port, organisation, account, unit.
 */
public final class Stranger {
  private static final int TIMEOUT_S = 30;

  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[0]);
    String organisation = args[5];
    ManagedChannel identity = channel(folder, args[1], args[2], Integer.parseInt(args[3]));
    ManagedChannel intake = channel(folder, args[1], args[2], Integer.parseInt(args[4]));
    try {
      String token = login(identity, args[6], text(folder, "password"), text(folder, "new-password"));
      UploadBatchesRequest batch = batch(args[7]);
      BatchReceipt receipt = upload(intake, token, batch);
      for (ItemResult item : receipt.getItemsList()) {
        System.out.println("item " + item.getIndex() + ": " + item.getState());
        item.getFindingsList().forEach(f -> System.out.println("  " + f.getRuleId() + " " + f.getMessageZh()));
      }
      System.out.println("leaf: " + receipt.getLeaf().toStringUtf8());
      System.out.println(Proof.verify(receipt, batch.toByteArray(), organisation, text(folder, "log.vkey")));
    } finally {
      identity.shutdownNow();
      intake.shutdownNow();
    }
  }

  /** TLS 1.3 only, our certificate, the gateway's root, the name in its certificate. */
  private static ManagedChannel channel(Path folder, String host, String name, int port) throws Exception {
    SslContext tls = GrpcSslContexts.forClient()
        .protocols("TLSv1.3")
        .trustManager(folder.resolve("root.pem").toFile())
        .keyManager(folder.resolve("certificate.pem").toFile(), folder.resolve("key.pem").toFile())
        .build();
    return NettyChannelBuilder.forAddress(host, port).sslContext(tls).overrideAuthority(name).build();
  }

  /** Returns an access token; a one-time password is changed first. */
  private static String login(ManagedChannel channel, String account, String password, String next) {
    var stub = IdentityServiceGrpc.newBlockingStub(channel);
    LoginResponse in = stub.withDeadlineAfter(TIMEOUT_S, TimeUnit.SECONDS)
        .login(LoginRequest.newBuilder().setAccountName(account).setPassword(password).build());
    System.out.println("logged in, password " + in.getPasswordState());
    if (in.getPasswordState() != PasswordState.PASSWORD_STATE_MUST_CHANGE) {
      return in.getAccessToken();
    }
    var change = ChangePasswordRequest.newBuilder()
        .setRequestId(UUID.randomUUID().toString()).setOldPassword(password).setNewPassword(next).build();
    return stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(bearer(in.getAccessToken())))
        .withDeadlineAfter(TIMEOUT_S, TimeUnit.SECONDS).changePassword(change).getAccessToken();
  }

  /** Sends one batch over a stream and returns its receipt. */
  private static BatchReceipt upload(ManagedChannel channel, String token, UploadBatchesRequest batch) throws Exception {
    var answer = new CompletableFuture<BatchReceipt>();
    StreamObserver<UploadBatchesRequest> stream = UploadServiceGrpc.newStub(channel)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(bearer(token)))
        .withDeadlineAfter(TIMEOUT_S, TimeUnit.SECONDS)
        .uploadBatches(new StreamObserver<>() {
          @Override public void onNext(UploadBatchesResponse response) {
            answer.complete(response.getReceipt());
          }
          @Override public void onError(Throwable error) {
            answer.completeExceptionally(error);
          }
          @Override public void onCompleted() {
            answer.completeExceptionally(new IllegalStateException("the stream ended without an answer"));
          }
        });
    stream.onNext(batch);
    BatchReceipt receipt = answer.get(TIMEOUT_S, TimeUnit.SECONDS);
    stream.onCompleted();
    return receipt;
  }

  private static UploadBatchesRequest batch(String unit) {
    Instant now = Instant.now();
    Address home = Address.newBuilder().setDivisionCode(unit.substring(0, 6)).setDetail("迎泽大街1号1号楼").build();
    Guardian mother = Guardian.newBuilder().setRelation(Guardian.Relation.RELATION_MOTHER)
        .setName("王丽娟").setPhone("15400000001").build();
    Child child = Child.newBuilder()
        .setChildCode(unit + "20260001").setName("张一诺").setSex(Sex.SEX_FEMALE).setBirthDate(day(2026, 3, 5))
        .setDocument(IdentityDocument.IDENTITY_DOCUMENT_NOT_YET_OBTAINED).addGuardians(mother)
        .setHousehold(home).setResidence(home)
        .setHouseholdCategory(HouseholdCategory.HOUSEHOLD_CATEGORY_THIS_COUNTY)
        .setResidenceType(ResidenceType.RESIDENCE_TYPE_LOCAL).setStatus(RegisterStatus.REGISTER_STATUS_ACTIVE)
        .setFileUnitCode(unit).setCurrentUnitCode(unit).setFiledDate(day(2026, 3, 20)).build();
    return UploadBatchesRequest.newBuilder()
        .setRequestId(UUID.randomUUID().toString()).setUnitCode(unit).setSequence(1).setSchemaVersion("2026-1")
        .setClientVersion("stranger-java-1").setLane(UploadBatchesRequest.Lane.LANE_LIVE)
        .setMadeTime(Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()))
        .addItems(Item.newBuilder().setChild(child)).build();
  }

  private static Date day(int year, int month, int day) {
    return Date.newBuilder().setYear(year).setMonth(month).setDay(day).build();
  }

  private static Metadata bearer(String token) {
    var headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
    return headers;
  }

  private static String text(Path folder, String name) throws Exception {
    return Files.readString(folder.resolve(name)).strip();
  }

  private Stranger() {}
}
